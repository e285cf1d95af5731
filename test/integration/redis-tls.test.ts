import { copyFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { CommandConnections } from '../../agent/redis/connections.ts';
import { resolveAgentConfig } from '../../api/agent-config.ts';
import { type Certificates, makeCertificates } from '../../hack/local/certificates.ts';
import { temporaryFolder, until } from '../../hack/local/children.ts';
import { RedisCluster } from '../../hack/local/redis-cluster.ts';
import { RedisSentinel } from '../../hack/local/redis-sentinel.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { startAgent } from '../support/cache.ts';

let tls: Certificates;
let others: Certificates;

beforeAll(() => {
  tls = makeCertificates();
  others = makeCertificates();
});

const filesOf = ({ ca, client }: Certificates) => ({
  tls: true,
  caFile: ca,
  certFile: client.cert,
  keyFile: client.key,
});

function stopped<T extends { stop(): Promise<unknown> }>(one: T): T {
  onTestFinished(async () => void (await one.stop()));
  return one;
}

/** Two agents tell one another of a change: commands and events both work. */
async function worksWith(
  redis: NonNullable<Parameters<typeof startAgent>[0]['file']['redis']>,
  env: Record<string, string> = {},
) {
  const [a, b] = [
    stopped(await startAgent({ file: { redis }, env })),
    stopped(await startAgent({ file: { redis }, env })),
  ];
  await a.client.put('gpu_avail', 'k', 1);
  expect(await b.client.get('gpu_avail', 'k')).toMatchObject({ value: 1 });
  await a.client.put('gpu_avail', 'k', 2, { confirm: true });
  expect(await b.client.get('gpu_avail', 'k')).toMatchObject({ value: 2 });
  return [a, b] as const;
}

describe('TLS both ways', () => {
  it('reaches one server', async () => {
    const server = stopped(await RedisServer.start({ tls }));
    await worksWith({ nodes: [server.address], ...filesOf(tls) });
  });

  it('reaches a cluster by its addresses, and goes on after a failover', async () => {
    const cluster = stopped(await RedisCluster.start({ tls }));
    const [a, b] = await worksWith({ mode: 'cluster', nodes: cluster.nodes, ...filesOf(tls) });
    const [master] = await cluster.masters();
    if (master === undefined) throw new Error('no master');
    await cluster.failover(master);
    await until('both hear all events again', () => a.agent.ready && b.agent.ready, { timeoutMs: 20_000 });
    await a.client.put('gpu_avail', 'k', 3, { confirm: true });
    await until('the other answers', async () => {
      const answer = await b.client.get('gpu_avail', 'k');
      return answer.status === 'hit' && answer.value === 3;
    });
  });

  it('reaches a cluster by names, where its certificates name no address', async () => {
    const named = makeCertificates({ serverNames: ['DNS:localhost'] });
    const announced = [
      ...['--cluster-announce-hostname', 'localhost', '--cluster-preferred-endpoint-type', 'hostname'],
    ];
    // The helper that forms the cluster speaks to addresses: only agents check names here.
    const cluster = stopped(await RedisCluster.start({ tls: named, replicasPerMaster: 0, args: announced }));
    const nodes = cluster.servers.map(({ port }) => `localhost:${port}`);
    await worksWith({ mode: 'cluster', nodes, ...filesOf(named) });
  });

  it('reaches sentinels that have a password, and what they watch', async () => {
    const secrets = { password: 'ofServers', sentinelPassword: 'ofSentinels' };
    const sentinel = stopped(await RedisSentinel.start({ tls, ...secrets }));
    const redis = { mode: 'sentinel' as const, nodes: sentinel.nodes, ...filesOf(tls) };
    const env = { REDIS_PASSWORD: secrets.password, REDIS_SENTINEL_PASSWORD: secrets.sentinelPassword };
    const [a] = await worksWith(redis, env);
    await sentinel.failover();
    await until('changes are applied again', async () => {
      return (await a.client.put('gpu_avail', 'k', 3)).state === 'applied';
    });
  });

  it('works for a user of Redis that the file names', async () => {
    const server = stopped(await RedisServer.start({ tls }));
    await server.admin.call('ACL', 'SETUSER', 'agents', 'on', '>secret', '~*', '&*', '+@all');
    const redis = { nodes: [server.address], ...filesOf(tls), username: 'agents' };
    await worksWith(redis, { REDIS_PASSWORD: 'secret' });
    expect(await server.admin.call('CLIENT', 'LIST')).toMatch(/name=edgecache-commands\S* .*user=agents/);
  });
});

/** Connections that cannot be made: what the log says of them, and of what happens when the trouble is over. */
function connectionsOf(redis: Record<string, unknown>) {
  const lines: string[] = [];
  const log = pino({ level: 'info' }, { write: (line) => void lines.push(line) });
  const connections = new CommandConnections(resolveAgentConfig({ redis }, {}), log);
  onTestFinished(() => connections.close());
  return { connections, logged: () => lines.join('') };
}

describe('a connection that cannot be made', () => {
  it.each([
    [
      'an unknown CA',
      () => ({ ...filesOf(tls), caFile: others.ca }),
      'is not signed by the CA in redis.caFile',
    ],
    ['no CA', () => ({ tls: true }), 'set redis.caFile (REDIS_CA_FILE)'],
    [
      'no certificate',
      () => ({ tls: true, caFile: tls.ca }),
      'none given; set redis.certFile (REDIS_CERT_FILE)',
    ],
    ['another’s certificate', () => ({ ...filesOf(others), caFile: tls.ca }), 'given: redis.certFile ('],
    [
      'a key that is not the certificate’s',
      () => ({ ...filesOf(tls), keyFile: others.client.key }),
      'do not fit together',
    ],
    [
      'a file that is not there',
      () => ({ ...filesOf(tls), caFile: '/nowhere' }),
      'redis.caFile /nowhere cannot',
    ],
    [
      'a file of something else',
      () => ({ ...filesOf(tls), caFile: tls.client.key }),
      'has no \\"BEGIN CERTIFICATE',
    ],
  ])('says so, and is tried again: %s', async (_, files, said) => {
    const server = stopped(await RedisServer.start({ tls }));
    const { connections, logged } = connectionsOf({ nodes: [server.address], ...files() });
    await until('it is tried again', () => connections.failures > 4);
    expect(connections.connected).toBe(false);
    expect(logged()).toContain(said);
    expect(connections.lastError).not.toBe('');
  });

  it('says so where Redis speaks no TLS, or its certificate names another host', async () => {
    const plain = stopped(await RedisServer.start());
    const toPlain = connectionsOf({ nodes: [plain.address], ...filesOf(tls) });
    const named = makeCertificates({ serverNames: ['DNS:redis.example'] });
    const server = stopped(await RedisServer.start({ tls: named }));
    const toNamed = connectionsOf({ nodes: [server.address], ...filesOf(named) });
    await until(
      'both have failed',
      () => toPlain.connections.failures > 2 && toNamed.connections.failures > 2,
    );
    expect(toNamed.logged()).toContain('add the name or address to the certificate of Redis');
    expect(toPlain.connections.connected).toBe(false);
  });

  it('is made with the files as they are by then', async () => {
    const server = stopped(await RedisServer.start({ tls }));
    const folder = temporaryFolder('mounted');
    const mounted = {
      caFile: join(folder, 'ca.crt'),
      certFile: join(folder, 'tls.crt'),
      keyFile: join(folder, 'tls.key'),
    };
    const { connections, logged } = connectionsOf({ nodes: [server.address], tls: true, ...mounted });
    await until('it has failed', () => connections.failures > 0);
    expect(logged()).toContain(`${mounted.caFile} cannot be read`);
    copyFileSync(tls.ca, mounted.caFile);
    copyFileSync(tls.client.cert, mounted.certFile);
    copyFileSync(tls.client.key, mounted.keyFile);
    await until('it is made', () => connections.connected);
    // What stands goes on without its files; what is made anew needs them.
    rmSync(mounted.keyFile);
    expect(await connections.next().ping()).toBe('PONG');
    await server.admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await until('it is refused', () => connections.lastError.includes('redis.keyFile'));
    writeFileSync(mounted.keyFile, 'half a f');
    await until('it is refused again', () => connections.lastError.includes('BEGIN PRIVATE KEY'));
    copyFileSync(tls.client.key, mounted.keyFile);
    await until('it is made again', () => connections.connected);
  });
});
