import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { agentFileOf, resolveAgentConfig } from './agent-config.ts';
import { InvalidInputError } from './errors.ts';
import { DEFAULT_NAMESPACES, resolveNamespace } from './namespace.ts';
import { quantityToBytes } from './quantity.ts';
import { parseTier } from './tier.ts';

function aTier(spec: Record<string, unknown> = {}) {
  return {
    apiVersion: 'edgecache.dev/v1alpha1',
    kind: 'EdgeCacheTier',
    metadata: { name: 't' },
    spec: { region: 'us-east', tier: 'edge', redis: { nodes: ['redis:6379'] }, ...spec },
  };
}

function problemsOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof InvalidInputError) return error.message;
    throw error;
  }
  throw new Error('nothing was wrong');
}

describe('a tier', () => {
  it('switches the page of its agents off and on, and says nothing of it where it is not asked to', () => {
    const fileOf = (spec?: Record<string, unknown>) => agentFileOf(parseTier(aTier(spec)));
    expect(fileOf()).not.toHaveProperty('ui');
    expect(resolveAgentConfig(fileOf(), {}).ui).toEqual({ enabled: true, hosts: [] });
    const off = fileOf({ ui: { enabled: false } });
    expect(resolveAgentConfig(off, {}).ui.enabled).toBe(false);
    expect(resolveAgentConfig(off, { CACHE_ENABLE_UI: 'true' }).ui.enabled).toBe(true);
    expect(problemsOf(() => fileOf({ ui: { hosts: ['https://cache'] } }))).toContain('ui.hosts');
  });

  it('has the six namespaces with their TTLs and limits where it names none', () => {
    const rows = DEFAULT_NAMESPACES.map((spec) => resolveNamespace(spec, 30)).map((ns) => [
      ns.name,
      ns.ttlSeconds,
      ns.eventDriven,
      ns.critical,
      ns.memoryLimitBytes / 1e6,
    ]);
    expect(rows).toEqual([
      ['gpu_avail', 30, true, true, 100],
      ['gpu_pricing', 60, true, true, 50],
      ['order_book', 5, true, true, 200],
      ['provider_status', 120, true, false, 50],
      ['market_stats', 300, true, false, 100],
      ['historical', 3600, false, false, 500],
    ]);
  });

  it.each([
    ['edge', 500],
    ['regional', 2000],
    ['global', 5000],
  ])('of %s nodes keeps %i entries', (tier, entries) => {
    const config = resolveAgentConfig(agentFileOf(parseTier(aTier({ tier }))), {});
    expect(config.l1.maxEntries).toBe(entries);
  });

  it('may change, add and leave out namespaces', () => {
    const namespaces = [
      { name: 'gpu_avail', ttlSeconds: 10 },
      { name: 'mine', l1TtlSeconds: 3 },
    ];
    const config = resolveAgentConfig(agentFileOf(parseTier(aTier({ namespaces }))), {});
    expect(config.namespaces.map(({ name }) => name)).toEqual(['gpu_avail', 'mine']);
    expect(config.namespaces[0]).toMatchObject({ ttlSeconds: 10, critical: true });
    expect(config.namespaces[1]).toMatchObject({ ttlSeconds: 60, l1TtlSeconds: 3, critical: false });
  });

  it('says every field that is wrong at once, with value and remedy', () => {
    const text = problemsOf(() =>
      parseTier(
        aTier({
          region: 'US East',
          maxStalenessMs: 10,
          typo: 1,
          redis: { mode: 'cluster', nodes: ['nowhere'], db: 3 },
        }),
      ),
    );
    expect(text).toContain('spec.region: got "US East"');
    expect(text).toContain('spec.maxStalenessMs: got 10; must be from 100 to 60000');
    expect(text).toContain('spec.typo: got an unknown field');
    expect(text).toContain('spec.redis.nodes[0]: got "nowhere"; must be host:port');
  });

  it('of the examples is valid', () => {
    for (const name of ['edge-us-east', 'regional-eu-west', 'global-us-east']) {
      const file = new URL(`../examples/tier-${name}.yaml`, import.meta.url);
      expect(parseTier(parse(readFileSync(file, 'utf8'))).metadata.name).toBe(name);
    }
  });
});

describe('the configuration of an agent', () => {
  it('is the file’s, overridden by the environment', () => {
    const env = {
      REDIS_HOST: 'redis.local',
      REDIS_PORT: '6380',
      REDIS_DB: '2',
      REDIS_PASSWORD: 'secret',
      REDIS_SSL: 'true',
      REDIS_MAX_CONNECTIONS: '4',
      EDGE_NODE_ID: 'node-1',
      EDGE_NODE_REGION: 'eu-west',
      EDGE_NODE_DATACENTER: 'ams1',
      EDGE_NODE_CACHE_TIER: 'global',
      CACHE_L1_SIZE: '77',
      CACHE_L1_POLICY: 's3fifo',
      CACHE_ENABLE_EVENT_DRIVEN: 'false',
      CACHE_ENABLE_METRICS: 'false',
      CACHE_HEALTH_CHECK_INTERVAL: '9',
      CACHE_ENABLE_TLS: 'false',
      CACHE_REQUIRE_AUTH: 'false',
      CACHE_GRPC_ADDRESS: '127.0.0.1:1',
      CACHE_HTTP_ADDRESS: '127.0.0.1:2',
    };
    expect(resolveAgentConfig({ nodeId: 'file', l1: { ttlSeconds: 7 } }, env)).toMatchObject({
      redis: { nodes: ['redis.local:6380'], db: 2, tls: true, maxConnections: 4 },
      credentials: { password: 'secret' },
      nodeId: 'node-1',
      region: 'eu-west',
      datacenter: 'ams1',
      tier: 'global',
      l1: { maxEntries: 77, ttlSeconds: 7, policy: 's3fifo' },
      eventDriven: false,
      metrics: false,
      healthCheckIntervalSeconds: 9,
      grpcAddress: '127.0.0.1:1',
      httpAddress: '127.0.0.1:2',
    });
  });

  it('takes several nodes of Redis, and refuses two ways of naming them', () => {
    const config = resolveAgentConfig({}, { REDIS_MODE: 'cluster', REDIS_NODES: 'a:1, b:2' });
    expect(config.redis).toMatchObject({ mode: 'cluster', nodes: ['a:1', 'b:2'] });
    expect(problemsOf(() => resolveAgentConfig({}, { REDIS_NODES: 'a:1', REDIS_HOST: 'b' }))).toContain(
      'REDIS_HOST',
    );
  });

  it('takes certificates and users for Redis, and refuses certificates that would have no effect', () => {
    const files = { REDIS_CA_FILE: '/ca', REDIS_CERT_FILE: '/cert', REDIS_KEY_FILE: '/key' };
    const secrets = { REDIS_USERNAME: 'u', REDIS_SENTINEL_USERNAME: 's', REDIS_SENTINEL_PASSWORD: 'p' };
    const config = resolveAgentConfig(
      { redis: { nodes: ['a:1'], username: 'file' } },
      { REDIS_SSL: 'true', ...files, ...secrets },
    );
    expect(config.redis).toMatchObject({ caFile: '/ca', certFile: '/cert', keyFile: '/key' });
    expect(config.credentials).toEqual({ username: 'u', sentinelUsername: 's', sentinelPassword: 'p' });
    const username = { redis: { nodes: ['a:1'], username: 'file' } };
    expect(resolveAgentConfig(username, {}).credentials).toEqual({ username: 'file' });
    expect(problemsOf(() => resolveAgentConfig({ redis: { nodes: ['a:1'] } }, files))).toContain(
      'set redis.tls (REDIS_SSL) to true',
    );
    const half = problemsOf(() =>
      resolveAgentConfig({}, { REDIS_NODES: 'a:1', REDIS_SSL: 'true', REDIS_CERT_FILE: '/cert' }),
    );
    expect(half).toContain('redis.keyFile');
  });

  it('has the policy that chooses for itself unless it says another, and refuses an unknown one', () => {
    expect(resolveAgentConfig({}, {}).l1.policy).toBe('default');
    const said = problemsOf(() => resolveAgentConfig({}, { CACHE_L1_POLICY: 'lfu' }));
    expect(said).toContain('l1.policy');
    expect(said).toContain('must be default, lru, s3fifo or tinylfu');
  });

  it('never shows a password in what it says', () => {
    const text = problemsOf(() => resolveAgentConfig({ redis: 5 }, { REDIS_PASSWORD: 'hunter2' }));
    expect(text).not.toContain('hunter2');
  });

  it('does not change the object that it was given', () => {
    const file = { redis: { nodes: ['a:1'] } };
    resolveAgentConfig(file, { REDIS_DB: '3' });
    expect(file).toEqual({ redis: { nodes: ['a:1'] } });
  });
});

describe('quantities', () => {
  it.each([
    ['1', 1],
    ['2k', 2000],
    ['3Ki', 3072],
    ['100M', 1e8],
    ['64Mi', 67_108_864],
    ['1Gi', 1_073_741_824],
  ])('%s is %i bytes', (text, bytes) => {
    expect(quantityToBytes(text)).toBe(bytes);
  });
});

describe('limits of the port', () => {
  it('have defaults', () => {
    expect(resolveAgentConfig({}, {}).security.limits).toMatchObject({
      maxMessageBytes: 20 * 1024 ** 2,
      maxConnections: 1024,
    });
  });

  it('must let through the values that a namespace accepts', () => {
    const limits = { maxMessageBytes: 512 * 1024 };
    const file = (maxValueBytes?: number) => ({
      namespaces: [{ name: 'ns', ...(maxValueBytes === undefined ? {} : { maxValueBytes }) }],
      security: { limits },
    });
    expect(problemsOf(() => resolveAgentConfig(file(), {}))).toContain(
      "security.limits.maxMessageBytes: got 524288; must be at least 1179648: namespace 'ns' accepts values of 1048576 bytes",
    );
    expect(resolveAgentConfig(file(1000), {}).security.limits).toMatchObject(limits);
  });
});
