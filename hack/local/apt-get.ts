import { execFileSync } from 'node:child_process';

/** Two of this project's commands that start together take turns: `apt-get update` itself does not wait for another. */
const TURNS = ['--timeout', '600', '/tmp/edgecache-apt.lock', 'apt-get', '-o', 'DPkg::Lock::Timeout=600'];

export interface MissingProgram {
  readonly name: string;
  /** Debian's names of what has it. */
  readonly packages: readonly string[];
  /** What to do where it cannot be installed. */
  readonly remedy: string;
}

/**
 * Installs Debian's package of a program that is missing.
 * @throws Error saying what to do where it cannot.
 */
export function aptInstall({ name, packages, remedy }: MissingProgram, say: (line: string) => void): void {
  if (process.getuid?.() !== 0)
    throw new Error(`${name} is missing, and only root may install it; ${remedy}`);
  say(`${name} is missing: installing it with apt-get`);
  try {
    aptGet(['update', '-qq']);
    aptGet(['install', '-y', '-qq', '--no-install-recommends', ...packages]);
  } catch (error) {
    // apt-get's own words are in it.
    const said = error instanceof Error ? error.message.trim() : String(error);
    throw new Error(`${name} is missing, and could not be installed: ${said}; ${remedy}`, { cause: error });
  }
}

function aptGet(args: readonly string[]): void {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  execFileSync('flock', [...TURNS, ...args], { env, stdio: ['ignore', 'ignore', 'pipe'] });
}
