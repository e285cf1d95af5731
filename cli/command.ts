import type { ParseArgsConfig } from 'node:util';
import type { Agents } from './agents.ts';
import type { Screen } from './screen.ts';

/** One option of a command, as parseArgs takes it, and what `--help` says of it. */
export interface Option {
  readonly type: 'string' | 'boolean';
  readonly multiple?: boolean;
  readonly short?: string;
  /** Name of the value in `--help`, such as `KEY`. */
  readonly value?: string;
  readonly help: string;
}

export type Options = Readonly<Record<string, Option>>;

/** What the user gave, by the options' names. */
export class Given {
  readonly positionals: readonly string[];
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>, positionals: readonly string[]) {
    this.#values = values;
    this.positionals = positionals;
  }

  text(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === 'string' ? value : undefined;
  }

  list(name: string): string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }
}

export interface Context {
  readonly screen: Screen;
  readonly given: Given;
  /** Ends on Ctrl-C. */
  readonly signal: AbortSignal;
  /** Finds the agents that are meant; asked once. @throws CliError */
  readonly agents: () => Promise<Agents>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: () => Promise<Buffer>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export interface Command {
  readonly name: string;
  /** What stands behind the name, such as `NAMESPACE KEY`. */
  readonly usage: string;
  readonly summary: string;
  readonly details?: string;
  readonly options: Options;
  /** Words that may stand behind the name, where there are only so many. */
  readonly completes?: readonly string[];
  readonly examples: readonly string[];
  /** How many words may stand behind the name. */
  readonly words: readonly [number, number];
  /** @returns the exit code. @throws CliError, EdgeCacheError */
  readonly run: (context: Context) => Promise<number>;
}

/** Exit codes, the same for every command. */
export const EXIT = { ok: 0, failed: 1, usage: 2, miss: 4, degraded: 5, interrupted: 130 } as const;

/** What the user can mend: said as it stands, without a stack. */
export class CliError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT.failed, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CliError';
    this.exitCode = exitCode;
  }
}

export function usageError(message: string): CliError {
  return new CliError(message, EXIT.usage);
}

export function toParseArgs(options: Options): NonNullable<ParseArgsConfig['options']> {
  return Object.fromEntries(
    Object.entries(options).map(([name, { type, multiple, short }]) => [
      name,
      { type, ...(multiple === undefined ? {} : { multiple }), ...(short === undefined ? {} : { short }) },
    ]),
  );
}
