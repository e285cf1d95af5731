import { readFileSync } from 'node:fs';
import type { Cluster, Redis, Result } from 'ioredis';

declare module 'ioredis' {
  interface RedisCommander<Context> {
    ecChange(keyCount: number, ...args: (string | Buffer | number)[]): Result<unknown, Context>;
    ecGetBuffer(keyCount: number, ...args: (string | Buffer | number)[]): Result<unknown, Context>;
    ecFill(keyCount: number, ...args: (string | Buffer | number)[]): Result<unknown, Context>;
    ecForget(keyCount: number, ...args: (string | Buffer | number)[]): Result<unknown, Context>;
    ecRelease(keyCount: number, ...args: (string | Buffer | number)[]): Result<unknown, Context>;
    ecUsage(keyCount: number, ...args: (string | Buffer | number)[]): Result<unknown, Context>;
    ecHot(keyCount: number, ...args: (string | Buffer | number)[]): Result<unknown, Context>;
    ecExplain(keyCount: number, ...args: (string | Buffer | number)[]): Result<unknown, Context>;
    ecFleetReport(keyCount: number, ...args: (string | Buffer | number)[]): Result<unknown, Context>;
    ecFleetRead(keyCount: number, ...args: (string | Buffer | number)[]): Result<unknown, Context>;
    ecHead(keyCount: number, ...args: (string | Buffer | number)[]): Result<unknown, Context>;
  }
}

const read = (name: string): string => readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), 'utf8');

const LIB = read('lib');
const ACCOUNT = `${LIB}\n${read('account')}`;
const SCRIPTS = {
  ecChange: `${ACCOUNT}\n${read('change')}`,
  ecGet: `${ACCOUNT}\n${read('get')}`,
  ecFill: `${ACCOUNT}\n${read('fill')}`,
  ecUsage: `${ACCOUNT}\n${read('usage')}`,
  ecForget: read('forget'),
  ecRelease: read('release'),
  ecHot: read('hot'),
  ecExplain: `${LIB}\n${read('explain')}`,
  ecFleetReport: read('fleet-report'),
  ecFleetRead: read('fleet-read'),
  ecHead: `${LIB}\n${read('head')}`,
};

/** Teaches a connection the cache's scripts; ioredis sends them by hash and loads them where they are not known. */
export function defineScripts(client: Redis | Cluster): void {
  for (const [name, lua] of Object.entries(SCRIPTS)) client.defineCommand(name, { lua });
}
