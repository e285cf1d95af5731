import { type InputProblem, InvalidInputError } from '../api/errors.ts';
import { LIMITS } from '../api/limits.ts';
import type { Namespace } from '../api/namespace.ts';
import { AgentError } from './errors.ts';

/** Checks of what callers send. Each failure names the field, what was given and what is allowed. */

export function invalid(path: string, given: string, remedy: string): InvalidInputError {
  const problem: InputProblem = { path, given, remedy };
  return new InvalidInputError('request', [problem]);
}

/** @throws AgentError EC_UNKNOWN_NAMESPACE, naming those that exist. */
export function namespaceOf(namespaces: ReadonlyMap<string, Namespace>, name: string): Namespace {
  const rules = namespaces.get(name);
  if (rules !== undefined) return rules;
  const known = [...namespaces.keys()].join(', ');
  throw new AgentError(
    'EC_UNKNOWN_NAMESPACE',
    `namespace '${name.slice(0, 80)}' is not one of this tier’s: ${known}`,
  );
}

/** UTF-8 takes at most three bytes for each unit of a JavaScript string. */
const SURELY_SHORT = LIMITS.keyBytes / 3;

/** @throws InvalidInputError */
export function checkKey(key: string): void {
  if (key.length > 0 && key.length <= SURELY_SHORT) return;
  const bytes = Buffer.byteLength(key);
  if (bytes === 0 || bytes > LIMITS.keyBytes) {
    throw invalid('key', `${bytes} bytes`, `must be 1 to ${LIMITS.keyBytes} bytes of UTF-8`);
  }
}

/** @throws InvalidInputError */
export function checkTags(tags: readonly string[]): void {
  if (tags.length > LIMITS.tagsPerEntry) {
    throw invalid('tags', `${tags.length} tags`, `must be at most ${LIMITS.tagsPerEntry}`);
  }
  tags.forEach((tag, i) => {
    const bytes = Buffer.byteLength(tag);
    if (bytes === 0 || bytes > LIMITS.tagBytes) {
      throw invalid(`tags[${i}]`, `${bytes} bytes`, `must be 1 to ${LIMITS.tagBytes} bytes of UTF-8`);
    }
  });
}

/** @throws AgentError EC_VALUE_TOO_LARGE */
export function checkValue(rules: Namespace, value: Buffer): void {
  if (value.length <= rules.maxValueBytes) return;
  throw new AgentError(
    'EC_VALUE_TOO_LARGE',
    `value has ${value.length} bytes; namespace '${rules.name}' takes at most ${rules.maxValueBytes} (maxValueBytes)`,
  );
}

const MAX_TTL_MS = 30 * 86_400_000;

/** TTL to use for what a caller asked for: 0 stands for the namespace's. @throws InvalidInputError */
/** @param choose is asked where the caller leaves it to the namespace */
export function ttlOf(ttlMs: number, choose: () => number): number {
  if (ttlMs > MAX_TTL_MS) throw invalid('ttl_ms', String(ttlMs), `must be at most ${MAX_TTL_MS} (30 days)`);
  return ttlMs === 0 ? choose() : ttlMs;
}
