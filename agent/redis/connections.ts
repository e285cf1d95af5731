import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';
import type { Logger } from 'pino';
import type { AgentConfig } from '../../api/agent-config.ts';
import { splitHostPort } from '../../api/redis.ts';
import { defineScripts } from '../l2/scripts.ts';
import { TlsFiles } from './tls-files.ts';

/** What the connections need to know of the configuration. */
export type RedisConnectionConfig = Pick<AgentConfig, 'redis' | 'credentials' | 'nodeId'>;

const CONNECT_TIMEOUT_MS = 2_000;
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 2_000;
/** One refresh of the cluster's slots at most each so often, however many commands were redirected. */
const SLOTS_REFRESH_MS = 5_000;

/** Exponential backoff with full jitter, so that agents that lost Redis together do not return together. */
export function backoffMs(attempt: number, random: () => number): number {
  const ceiling = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(attempt, 10));
  return RETRY_MIN_MS + random() * (ceiling - RETRY_MIN_MS);
}

/** Options that each connection to a Redis server has, whatever it is for. */
export function baseOptions(
  { redis, credentials, nodeId }: RedisConnectionConfig,
  purpose: 'commands' | 'events',
  tls: TlsFiles,
) {
  const { username, password } = credentials;
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    // Seen in CLIENT LIST.
    connectionName: `edgecache-${purpose}-${nodeId.replace(/[^\w.-]/g, '_')}`,
    ...(redis.tls ? { tls: tls.options } : {}),
    // Names of library and version, for which a user would need one more right, and Redis 7.0 has no such command.
    disableClientInfo: true,
    db: redis.db,
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: redis.commandTimeoutMs,
    keepAlive: 5_000,
    noDelay: true,
    // Commands for a connection that is down fail at once: a queue here would have no bound and no metric.
    enableOfflineQueue: false,
    // What was sent and not answered may have been done; only callers with an event id may send it again.
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    maxRetriesPerRequest: null,
  } satisfies RedisOptions;
}

/** Connections for commands: everything but the event feed. */
export class CommandConnections {
  readonly #clients: readonly (Redis | Cluster)[];
  readonly #random: () => number;
  readonly #tls: TlsFiles;
  #turn = 0;
  #failures = 0;
  #lastError = '';
  #closed = false;

  constructor(config: RedisConnectionConfig, log: Logger, random: () => number = Math.random) {
    this.#random = random;
    this.#tls = new TlsFiles(config.redis);
    // One connection to each master is the event feed's.
    const count = config.redis.maxConnections - 1;
    this.#clients = Array.from({ length: count }, () => {
      const client = connect(config, random, this.#tls);
      defineScripts(client);
      this.#watch(client, log);
      return client;
    });
  }

  /** The connection whose turn it is, of those that stand; where none does, any. */
  readonly next = (): Redis | Cluster => {
    const { length } = this.#clients;
    this.#turn = (this.#turn + 1) % length;
    for (let i = 0; i < length; i++) {
      const client = this.#clients[(this.#turn + i) % length];
      if (client?.status === 'ready') return client;
    }
    const client = this.#clients[this.#turn];
    if (client === undefined) throw new Error('no connection');
    return client;
  };

  /** Connection failures since the start. */
  get failures(): number {
    return this.#failures;
  }

  /** Message of the newest failure, for people. */
  get lastError(): string {
    return this.#lastError;
  }

  get connected(): boolean {
    return this.#clients.some((client) => client.status === 'ready');
  }

  close(): void {
    this.#closed = true;
    for (const client of this.#clients) client.disconnect();
  }

  #watch(client: Redis | Cluster, log: Logger): void {
    const failed = (error: unknown) => {
      this.#failures += 1;
      const message = this.#tls.explain(rootOf(error));
      // The same trouble is told once, not at each of a thousand tries.
      if (message !== this.#lastError) log.warn({ error: message }, 'connection to Redis failed');
      this.#lastError = message;
    };
    client.on('error', failed);
    client.on('node error', failed);
    client.on('ready', () => {
      if (this.#lastError !== '') log.info('connection to Redis is back');
      this.#lastError = '';
    });
    this.#revive(client, log);
  }

  /**
   * Connects a client again that its library has given up for good, whatever its retry strategy says:
   * - in Sentinel mode it does so when it hears of the new master while it is about to connect ('end');
   * - a cluster's client, if the last connection of its former pool ends while it resolves names for the next ('close', and
   *   nothing follows: neither an error nor a retry).
   */
  #revive(client: Redis | Cluster, log: Logger): void {
    let attempt = 0;
    client.on('ready', () => {
      attempt = 0;
    });
    const makeAgain = (givenUp: 'end' | 'close', patienceMs: number) => {
      if (this.#closed) return;
      setTimeout(() => {
        if (this.#closed || client.status !== givenUp) return;
        this.#failures += 1;
        log.warn({ status: givenUp }, 'connection to Redis was given up; it is made again');
        // A failure comes as an event as well, and ends here again.
        client.connect().catch(() => undefined);
      }, patienceMs + backoffMs(attempt, this.#random)).unref();
      attempt += 1;
    };
    client.on('end', () => makeAgain('end', 0));
    // As a rule the library goes on by itself, after this long at most.
    client.on('close', () => makeAgain('close', RETRY_MAX_MS));
  }
}

function connect(config: RedisConnectionConfig, random: () => number, tls: TlsFiles): Redis | Cluster {
  const { redis } = config;
  const base = baseOptions(config, 'commands', tls);
  const retryStrategy = (attempt: number) => backoffMs(attempt, random);
  const nodes = redis.nodes.map(splitHostPort);
  if (redis.mode === 'cluster') {
    return new Cluster(nodes, clusterOptions(base, retryStrategy));
  }
  if (redis.mode === 'sentinel') {
    return new Redis({ ...base, ...sentinelOptions(config, tls), retryStrategy, reconnectOnError });
  }
  return new Redis({ ...base, ...nodes[0], retryStrategy, reconnectOnError });
}

function clusterOptions(
  redisOptions: ReturnType<typeof baseOptions>,
  clusterRetryStrategy: (attempt: number) => number,
) {
  return {
    redisOptions,
    // A certificate names hosts: one that was resolved to its address first would not be found in it.
    ...('tls' in redisOptions ? { dnsLookup: asItIs } : {}),
    enableOfflineQueue: false,
    clusterRetryStrategy,
    slotsRefreshInterval: SLOTS_REFRESH_MS,
    slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
    scaleReads: 'master' as const,
    // A failover takes about two seconds; what is not answered by then fails, and callers decide.
    maxRedirections: 8,
    retryDelayOnFailover: 100,
    retryDelayOnClusterDown: 100,
    retryDelayOnTryAgain: 50,
  } satisfies ClusterOptions;
}

function asItIs(host: string, found: (error: null, address: string) => void): void {
  found(null, host);
}

export function sentinelOptions({ redis, credentials }: RedisConnectionConfig, tls: TlsFiles) {
  const { sentinelUsername, sentinelPassword } = credentials;
  return {
    sentinels: redis.nodes.map(splitHostPort),
    name: redis.sentinelMaster,
    ...(sentinelUsername === undefined ? {} : { sentinelUsername }),
    ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
    // Without the first, the library would speak to the servers in plain text, whatever else it is told.
    ...(redis.tls ? { enableTLSForSentinelMode: true, sentinelTLS: tls.options } : {}),
    // A sentinel that hangs must not keep from the others.
    sentinelCommandTimeout: redis.commandTimeoutMs,
    sentinelRetryStrategy: (attempt: number) => Math.min(RETRY_MAX_MS, RETRY_MIN_MS * attempt),
    failoverDetector: true,
  } satisfies RedisOptions;
}

/** After a failover the old address may answer as a replica: a new connection finds the new master. */
function reconnectOnError(error: Error): boolean {
  return error.message.startsWith('READONLY');
}

function rootOf(error: unknown): unknown {
  const isOfNode = error instanceof Error && 'lastNodeError' in error && error.lastNodeError instanceof Error;
  return isOfNode ? error.lastNodeError : error;
}
