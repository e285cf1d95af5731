import type { z } from 'zod';

/** One thing wrong with an input: where, what was given, and what to do about it. */
export interface InputProblem {
  /** Path of the field, e.g. `spec.namespaces[2].ttlSeconds`. */
  readonly path: string;
  readonly given: string;
  readonly remedy: string;
}

/** A configuration or manifest that cannot be used. Lists every problem, not only the first. */
export class InvalidInputError extends Error {
  readonly code = 'EC_INVALID_INPUT';
  readonly problems: readonly InputProblem[];

  constructor(what: string, problems: readonly InputProblem[]) {
    const lines = problems.map((p) => `  ${p.path || '(root)'}: got ${p.given}; ${p.remedy}`);
    super(`${what} is invalid:\n${lines.join('\n')}`);
    this.name = 'InvalidInputError';
    this.problems = problems;
  }
}

/**
 * Parses with a zod schema and turns its issues into {@link InputProblem}s.
 * @throws InvalidInputError
 */
export function parseOrThrow<T extends z.ZodType>(schema: T, input: unknown, what: string): z.output<T> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  throw new InvalidInputError(
    what,
    result.error.issues.map((issue) => toProblem(issue, input)),
  );
}

function toProblem(issue: z.core.$ZodIssue, input: unknown): InputProblem {
  if (issue.code === 'unrecognized_keys') {
    const path = formatPath([...issue.path, issue.keys[0] ?? '']);
    return { path, given: 'an unknown field', remedy: 'remove it or correct its name' };
  }
  return { path: formatPath(issue.path), given: describe(valueAt(input, issue.path)), remedy: issue.message };
}

export function formatPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((out, part) => {
    if (typeof part === 'number') return `${out}[${part}]`;
    return out === '' ? String(part) : `${out}.${String(part)}`;
  }, '');
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Reflect.get(value, part);
  }
  return value;
}

/** Shows a value in an error without flooding the terminal and without printing secrets' length. */
function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
