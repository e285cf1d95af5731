import { readFileSync } from 'node:fs';
import { status } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { AgentFile } from '../../api/agent-config.ts';
import { anyJson } from '../../client/codec.ts';
import { EdgeCacheClient, type EdgeCacheClientOptions } from '../../client/edge-cache-client.ts';
import { until } from '../../hack/local/children.ts';
import { LocalAgent } from '../../hack/local/local-agent.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone } from '../support/cache.ts';
import { Authority } from '../support/certificates.ts';
import { failureOf, METHODS, RawClient } from '../support/raw-client.ts';
import { RawConnection } from '../support/raw-http2.ts';

const GET = { namespace: 'ns', key: 'k', minToken: '', wantLease: false };
const JSON_CODEC = { codec: anyJson };

describe('limits of the port', () => {
  let redis: RedisServer;
  const stops: (() => unknown)[] = [];

  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterEach(async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
  });
  afterAll(() => redis?.stop());

  async function start(
    security: AgentFile['security'],
    options: Partial<EdgeCacheClientOptions> = {},
    env: Readonly<Record<string, string>> = {},
  ) {
    const namespaces = [{ name: 'ns' }, { name: 'critical', critical: true, eventDriven: true }];
    const agent = await LocalAgent.start({
      nodeId: 'limited',
      file: { redis: standalone(redis.port), namespaces, security },
      env,
    });
    stops.push(() => agent.stop());
    const client = new EdgeCacheClient({
      addresses: [agent.address],
      deadlineMs: 10_000,
      connectTimeoutMs: 5_000,
      ...options,
    });
    const raw = new RawClient(agent.address);
    stops.push(
      () => client.close(),
      () => raw.close(),
    );
    const metric = async (line: string) => {
      const text = await (await agent.fetch('/metrics')).text();
      return Number(
        text
          .split('\n')
          .find((one) => one.startsWith(`${line} `))
          ?.split(' ')
          .at(-1),
      );
    };
    return { agent, client, raw, metric };
  }

  it('a caller that asks for too much is told when to come back, in calls and in streams', async () => {
    const { client, raw, metric } = await start({ limits: { requestsPerSecond: 50 } });
    const batch = {
      id: 1,
      items: Array.from({ length: 150 }, () => GET),
      split: false,
      wantTags: false,
      refreshBelowMs: 0,
      traces: undefined,
    };
    await raw.call(METHODS.batchGet, batch);
    expect(await failureOf(raw.call(METHODS.get, GET))).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      reason: 'EC_RATE_LIMITED',
      message: expect.stringMatching(/anonymous at 127\.0\.0\.1 .* 50 items a second .*try again in \d+ ms/),
    });
    // On the Lookup stream.
    await expect(client.get('ns', 'k')).rejects.toMatchObject({
      code: 'EC_CLIENT_OVERLOADED',
      retryable: true,
    });
    expect(await metric('edgecache_rate_limited_items_total')).toBe(2);
    await until(
      'it has waited',
      async () => (await client.get('ns', 'k').catch(() => undefined)) !== undefined,
      {
        timeoutMs: 30_000,
      },
    );
  });

  it('a message that is too large is refused, and the connection goes on', async () => {
    const { client } = await start({ limits: { maxMessageBytes: 2 * 1024 ** 2 } });
    await expect(client.put('ns', 'k', 'x'.repeat(3 * 1024 ** 2), JSON_CODEC)).rejects.toMatchObject({
      code: 'EC_CLIENT_OVERLOADED',
    });
    await client.put('ns', 'k', 'v', JSON_CODEC);
    expect(await client.get('ns', 'k', JSON_CODEC)).toMatchObject({ value: 'v' });
  });

  it('connections that end by age fail no lookup and no near cache', async () => {
    const { client, metric } = await start(
      { limits: { maxConnectionAgeSeconds: 1 } },
      { near: { namespaces: { critical: {} } } },
    );
    await client.put('critical', 'k', 'v', JSON_CODEC);
    const found = () => client.get('critical', 'k', JSON_CODEC);
    await until('three connections have ended', async () => {
      await Promise.all(
        Array.from({ length: 20 }, async () => expect(await found()).toMatchObject({ value: 'v' })),
      );
      expect(await client.get('ns', 'none')).toMatchObject({ status: 'miss' });
      return (await metric('edgecache_grpc_connections_ended_total{reason="aged"}')) >= 3;
    });
  });

  it('with TLS, who says nothing is ended too, and makes room for others', { timeout: 60_000 }, async () => {
    const authority = new Authority('agents');
    const tls = { enabled: true, ...authority.issueForAgent() };
    const options = { tls: { caFile: authority.caFile } };
    const { agent, client, metric } = await start({ tls, limits: { maxConnections: 10 } }, options);
    const ended = (reason: string) => metric(`edgecache_grpc_connections_ended_total{reason="${reason}"}`);
    await client.put('ns', 'k', 'v', JSON_CODEC);
    const silent = await RawConnection.open(agent.address);
    const half = await RawConnection.open(agent.address);
    // The beginning of a ClientHello.
    await half.send(Buffer.from('1603010200010001fc0303', 'hex'));
    await until('who says nothing is gone', () => silent.isClosed && half.isClosed, { timeoutMs: 40_000 });
    expect(await ended('no-handshake')).toBe(2);
    for (let i = 0; i < 10; i++) await RawConnection.open(agent.address);
    await until('they make room for one another', async () => (await ended('made-room')) >= 5);
    expect(await client.get('ns', 'k', JSON_CODEC)).toMatchObject({ value: 'v' });
  });

  it('with TLS, connections that end by age fail no lookup', async () => {
    const authority = new Authority('agents');
    const tls = { enabled: true, ...authority.issueForAgent() };
    const { client, metric } = await start(
      { tls, limits: { maxConnectionAgeSeconds: 1 } },
      { tls: { caFile: authority.caFile } },
    );
    await until('two connections have ended', async () => {
      expect(await client.get('ns', 'none')).toMatchObject({ status: 'miss' });
      return (await metric('edgecache_grpc_connections_ended_total{reason="aged"}')) >= 2;
    });
  });

  it('identities have a rate and a name of their own', async () => {
    const [first, second] = ['first-token-0123456789', 'second-token-0123456789'];
    const { agent, client } = await start(
      { auth: { required: true }, limits: { requestsPerSecond: 5 }, accessLog: { sampleRate: 1 } },
      { token: first },
      { CACHE_AUTH_TOKEN: `first=${first},second=${second}` },
    );
    const [other, stranger] = [second, 'nobody-s-token-0123456789'].map((token) => {
      const one = new EdgeCacheClient({ addresses: [agent.address], token, deadlineMs: 10_000 });
      stops.push(() => one.close());
      return one;
    });
    const keys = Array.from({ length: 200 }, (_, i) => `k${i}`);
    await client.getMany('ns', keys);
    await expect(client.get('ns', 'k')).rejects.toMatchObject({
      message: expect.stringMatching(/^token:first /),
    });
    expect(await other?.get('ns', 'never')).toMatchObject({ status: 'miss' });
    await stranger?.get('ns', 'k').catch(() => undefined);
    const log = () => readFileSync(agent.logFile, 'utf8');
    await until('the stranger is written down', () => log().includes('EC_UNAUTHENTICATED'));
    for (const said of ['"identity":"token:first"', '"identity":"token:second"', '"identity":"unknown"'])
      expect(log()).toContain(said);
    expect(log()).not.toMatch(/-token-0123456789/);
  });

  it('the access log says who did what, and no value', async () => {
    const { agent, client, raw, metric } = await start({ accessLog: { sampleRate: 1 } });
    await client.put('ns', 'k', 'a-secret-value', JSON_CODEC);
    await client.get('ns', 'k', JSON_CODEC);
    await client.invalidate('ns', { tags: ['t'] });
    await failureOf(raw.call(METHODS.get, { ...GET, namespace: 'nope' }));
    await client.get('nope', 'k').catch(() => undefined);
    const lines = () =>
      readFileSync(agent.logFile, 'utf8')
        .split('\n')
        .filter((line) => line.includes('"log":"access"'))
        .map((line): unknown => JSON.parse(line));
    await until('all is written', () => lines().length >= 5);
    expect(lines()).toEqual([
      expect.objectContaining({
        method: 'Put',
        outcome: 'OK',
        namespaces: ['ns'],
        keys: ['k'],
        identity: 'anonymous',
      }),
      expect.objectContaining({
        method: 'Lookup',
        outcome: 'OK',
        keys: ['k'],
        peer: expect.stringMatching(/^127\.0\.0\.1:/),
      }),
      expect.objectContaining({ method: 'Invalidate', outcome: 'OK', tags: ['t'] }),
      expect.objectContaining({ method: 'Get', outcome: 'EC_UNKNOWN_NAMESPACE', namespaces: ['nope'] }),
      expect.objectContaining({ method: 'Lookup', outcome: 'EC_UNKNOWN_NAMESPACE', namespaces: ['nope'] }),
    ]);
    expect(readFileSync(agent.logFile, 'utf8')).not.toContain('a-secret-value');
    expect(await metric('edgecache_access_log_lines_total')).toBe(5);
  });
});
