import type { RedisMemory } from './redis-info.ts';

/** A setting of Redis on which promises of the cache fail, or may come to. */
export interface RedisProblem {
  readonly code: 'evicts' | 'limits-over-memory' | 'rights';
  /** `error`: a promise does not hold as Redis is set now. */
  readonly severity: 'error' | 'warning';
  /** Masters that it is about, as host:port. */
  readonly servers: readonly string[];
  readonly message: string;
  readonly remedy: string;
}

/** The one policy under which Redis refuses writes, which is seen, instead of dropping logs, markers and versions, which is not. */
const SAFE_POLICY = 'noeviction';

/**
 * What is wrong with the memory settings of Redis' masters.
 * @param limitBytes of all namespaces that have one, in Redis; 0: none has.
 */
export function checkRedisMemory(masters: readonly RedisMemory[], limitBytes: number): RedisProblem[] {
  return [...evictions(masters), ...limitsOverMemory(masters, limitBytes)];
}

function evictions(masters: readonly RedisMemory[]): RedisProblem[] {
  // Without maxmemory no policy ever comes into effect; where none is told, as of some services, none is known to be wrong.
  const unsafe = masters.filter(
    ({ maxBytes, policy }) => maxBytes > 0 && policy !== '' && policy !== SAFE_POLICY,
  );
  return [...new Set(unsafe.map(({ policy }) => policy))].map((policy) => ({
    code: 'evicts',
    severity: 'error',
    servers: unsafe
      .filter((server) => server.policy === policy)
      .map(({ server }) => server)
      .sort(),
    message: `maxmemory-policy is ${policy}: Redis may evict event logs, markers and versions, and with them the promises that no event is lost and nothing stale is answered`,
    remedy: `set maxmemory-policy to ${SAFE_POLICY}, and l2MemoryLimit of namespaces so that they stay below maxmemory`,
  }));
}

function limitsOverMemory(masters: readonly RedisMemory[], limitBytes: number): RedisProblem[] {
  if (masters.length === 0 || masters.some(({ maxBytes }) => maxBytes === 0)) return [];
  const maxBytes = masters.reduce((sum, master) => sum + master.maxBytes, 0);
  if (limitBytes <= maxBytes) return [];
  return [
    {
      code: 'limits-over-memory',
      severity: 'warning',
      servers: masters.map(({ server }) => server).sort(),
      message: `the l2MemoryLimit of all namespaces is ${limitBytes} bytes, and maxmemory of all masters ${maxBytes}: Redis may refuse writes before a limit is reached`,
      remedy: 'lower l2MemoryLimit, or raise maxmemory; leave room for event logs',
    },
  ];
}

/** One line for people. */
export function describeProblem({ servers, message, remedy }: RedisProblem): string {
  return `${servers.join(', ')}: ${message}; ${remedy}`;
}
