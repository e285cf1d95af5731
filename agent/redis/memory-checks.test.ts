import { describe, expect, it } from 'vitest';
import { checkRedisMemory, describeProblem } from './memory-checks.ts';

const master = (server: string, maxBytes: number, policy: string) => ({
  server,
  usedBytes: 1,
  maxBytes,
  policy,
});

describe('the memory settings of Redis', () => {
  it.each(['allkeys-lru', 'volatile-lru', 'allkeys-lfu', 'volatile-ttl', 'allkeys-random'])(
    'are an error with %s on any master, that names it and the remedy',
    (policy) => {
      const masters = [master('a:1', 100, 'noeviction'), master('b:2', 100, policy)];
      const [problem, ...rest] = checkRedisMemory(masters, 0);
      expect(rest).toEqual([]);
      expect(problem).toMatchObject({ code: 'evicts', severity: 'error', servers: ['b:2'] });
      if (problem === undefined) throw new Error('no problem');
      expect(describeProblem(problem)).toMatch(/^b:2: .*set maxmemory-policy to noeviction/);
    },
  );

  it('are well with noeviction, and where there is no maxmemory', () => {
    expect(checkRedisMemory([master('a:1', 100, 'noeviction')], 100)).toEqual([]);
    expect(checkRedisMemory([master('a:1', 0, 'allkeys-lru')], 1e12)).toEqual([]);
    expect(checkRedisMemory([master('a:1', 100, '')], 0)).toEqual([]);
  });

  it('warn of limits that are over maxmemory', () => {
    const masters = [master('a:1', 100, 'noeviction'), master('b:2', 100, 'noeviction')];
    expect(checkRedisMemory(masters, 200)).toEqual([]);
    expect(checkRedisMemory(masters, 201)).toMatchObject([
      { code: 'limits-over-memory', severity: 'warning' },
    ]);
  });
});
