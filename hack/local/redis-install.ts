import { execFileSync } from 'node:child_process';

/** Makes sure that redis-server is on the machine; installs Debian's package where it is not. */
export function ensureRedisServer(
  say: (line: string) => void = (line) => process.stderr.write(`${line}\n`),
): void {
  if (works('redis-server')) return;
  say('redis-server is missing: installing it with apt-get');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  try {
    execFileSync('apt-get', ['update', '-qq'], { env, stdio: ['ignore', 'ignore', 'pipe'] });
    execFileSync('apt-get', ['install', '-y', '-qq', 'redis-server'], {
      env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  } catch (error) {
    throw new Error(
      'redis-server is needed and could not be installed; install Redis 7.0 or newer and try again',
      {
        cause: error,
      },
    );
  }
}

function works(command: string): boolean {
  try {
    execFileSync(command, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
