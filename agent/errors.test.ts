import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fromRedis, RedisRefusedError, RedisUnavailableError } from './errors.ts';

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');

describe('error codes', () => {
  it('are all documented, and nothing else is', () => {
    const sources = ['agent/errors.ts', 'api/errors.ts', 'client/errors.ts', 'client/marketplace/errors.ts'];
    const used = new Set(sources.flatMap((file) => read(file).match(/EC_[A-Z_]+/g) ?? []));
    const documented = new Set(read('docs/errors.md').match(/EC_[A-Z_]+/g) ?? []);
    expect([...documented].sort()).toEqual([...used].sort());
  });
});

describe('an error of Redis', () => {
  const reply = (message: string) => Object.assign(new Error(message), { name: 'ReplyError' });

  it.each([
    'CLUSTERDOWN x',
    'LOADING x',
    'READONLY x',
    'MOVED 1 a:1',
    'NOAUTH x',
    'ERR WAIT cannot be used with replica instances.',
  ])('that passes is "unavailable": %s', (message) => {
    expect(fromRedis(reply(message))).toBeInstanceOf(RedisUnavailableError);
  });

  it.each(['OOM command not allowed', 'WRONGTYPE x', 'NOPERM x'])(
    'that stays is "refused": %s',
    (message) => {
      expect(fromRedis(reply(message))).toBeInstanceOf(RedisRefusedError);
    },
  );

  it('that is none of its replies is "unavailable"', () => {
    expect(fromRedis(new Error('Connection is closed.'))).toBeInstanceOf(RedisUnavailableError);
  });
});
