import { execFileSync } from 'node:child_process';
import { aptInstall } from './apt-get.ts';

/** SSUBSCRIBE and sharded channels came with it. */
const MIN_MAJOR = 7;

/**
 * Makes sure that redis-server is on the machine; installs Debian's package where it is not.
 * @throws Error saying what to do where it cannot.
 */
export function ensureRedisServer(
  say: (line: string) => void = (line) => process.stderr.write(`${line}\n`),
): void {
  const found = redisVersion();
  if (found === undefined) install(say);
  const version = found ?? redisVersion();
  if (version === undefined) throw new Error('redis-server was installed and still does not run');
  // An unknown version is no number, and is given the benefit of the doubt.
  if (Number.parseInt(version, 10) < MIN_MAJOR) {
    throw new Error(`redis-server is ${version}; install Redis ${MIN_MAJOR}.0 or newer`);
  }
}

/** The version that `redis-server --version` prints. Valkey prints the same form. */
export function parseRedisVersion(text: string): string | undefined {
  return /\bv=(\d+\.\d+\.\d+)/.exec(text)?.[1];
}

function redisVersion(): string | undefined {
  try {
    const text = execFileSync('redis-server', ['--version'], { stdio: ['ignore', 'pipe', 'ignore'] });
    return parseRedisVersion(text.toString()) ?? 'of unknown version';
  } catch {
    return undefined;
  }
}

function install(say: (line: string) => void): void {
  const remedy = `install Redis ${MIN_MAJOR}.0 or newer and try again`;
  aptInstall({ name: 'redis-server', packages: ['redis-server'], remedy }, say);
}
