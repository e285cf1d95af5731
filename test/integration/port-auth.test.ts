import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:http2';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { AgentFile } from '../../api/agent-config.ts';
import { run } from '../../cli/run.ts';
import { EdgeCacheClient, type EdgeCacheClientOptions } from '../../client/edge-cache-client.ts';
import { temporaryFolder, until, within } from '../../hack/local/children.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { type BatchGetResponse, EdgeCacheService } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { standalone, startAgent, type TestAgent } from '../support/cache.ts';
import { Authority, MountedFolder } from '../support/certificates.ts';
import { scraped } from '../support/metrics.ts';

let redis: RedisServer;
let authority: Authority;
beforeAll(async () => {
  redis = await RedisServer.start();
  authority = new Authority('auth');
});
afterAll(() => redis.stop());

type Security = NonNullable<AgentFile['security']>;
type Rules = NonNullable<Security['accessRules']>;

const [OPS, APP, NEXT] = ['ops-token-of-16-or-more', 'app-token-of-16-or-more', 'next-token-of-16-or-more'];
const NAMESPACES = [
  { name: 'a', ttlSeconds: 60 },
  { name: 'b', ttlSeconds: 60, invalidatedBy: ['b_changed'] },
];
const RULES: Rules = [
  { identities: ['token:ops'], namespaces: ['*'], allow: ['read', 'write', 'invalidate', 'admin'] },
  { identities: ['token:app', 'cert:app'], namespaces: ['a'], allow: ['read'] },
];

interface Setting {
  readonly security?: Security;
  readonly env?: Record<string, string>;
  readonly more?: Partial<Parameters<typeof startAgent>[0]>;
}

async function start({ security = {}, env = {}, more = {} }: Setting): Promise<TestAgent> {
  const file = {
    cacheId: `auth-${Math.random()}`.replace('.', ''),
    redis: standalone(redis.port),
    namespaces: NAMESPACES,
    security,
  };
  const agent = await startAgent({ file, env, ...more });
  onTestFinished(() => agent.stop());
  return agent;
}

const startWithTokens = (accessRules: Rules = RULES) =>
  start({
    security: { auth: { required: true }, accessRules },
    env: { CACHE_AUTH_TOKEN: `ops=${OPS},app=${APP}` },
  });

function clientOf({ address }: TestAgent, options: Partial<EdgeCacheClientOptions>): EdgeCacheClient {
  const client = new EdgeCacheClient({
    addresses: [address],
    connectTimeoutMs: 2_000,
    deadlineMs: 5_000,
    ...options,
  });
  onTestFinished(() => client.close());
  return client;
}

const UNKNOWN = { code: 'EC_CLIENT_UNAUTHENTICATED' };
const denied = (what: string) => ({
  code: 'EC_CLIENT_PERMISSION_DENIED',
  message: expect.stringContaining(what),
});

describe('a port that requires to know its callers', () => {
  it('takes no call or stream of who shows nothing, or a wrong token', async () => {
    const agent = await startWithTokens();
    for (const token of [undefined, 'wrong-token-of-16-or-more', `${OPS}x`]) {
      const client = clientOf(agent, token === undefined ? {} : { token });
      await expect(client.get('a', 'k')).rejects.toMatchObject(UNKNOWN);
      await expect(client.put('a', 'k', 1)).rejects.toMatchObject(UNKNOWN);
      await expect(client.invalidate('a', {})).rejects.toMatchObject(UNKNOWN);
      await expect(client.publish({ type: 'x', namespaces: ['a'] })).rejects.toMatchObject(UNKNOWN);
      await expect(client.stats()).rejects.toMatchObject(UNKNOWN);
      // An application goes on by its loader.
      expect(await client.getOrLoad('a', 'k', async () => 'loaded')).toBe('loaded');
    }
    expect(
      (await scraped(agent)).get('edgecache_port_refusals_total{reason="unauthenticated"}'),
    ).toBeGreaterThan(15);
  });

  it('refuses every call of the contract, and reflection; health stays open', async () => {
    const agent = await startWithTokens();
    const client = new Client(agent.address, credentials.createInsecure());
    onTestFinished(() => client.close());
    const codeOf = (path: string, metadata = new Metadata()) =>
      new Promise<number>((resolve) => {
        const bytes = (data: Buffer) => data;
        const stream = client.makeBidiStreamRequest(path, bytes, bytes, metadata, {
          deadline: Date.now() + 5_000,
        });
        stream.on('data', () => undefined);
        stream.on('error', ({ code }: ServiceError) => resolve(code));
        stream.on('status', ({ code }) => resolve(code));
        stream.end();
      });
    for (const { path } of Object.values(EdgeCacheService))
      expect([path, await codeOf(path)]).toEqual([path, status.UNAUTHENTICATED]);
    const reflection = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
    expect(await codeOf(reflection)).toBe(status.UNAUTHENTICATED);
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${APP}`);
    expect(await codeOf(reflection, metadata)).toBe(status.OK);
    const checked = await new Promise<ServiceError | null>((resolve) => {
      const empty = () => Buffer.alloc(0);
      client.makeUnaryRequest(
        '/grpc.health.v1.Health/Check',
        empty,
        (data) => data,
        {},
        (error) => resolve(error),
      );
    });
    expect(checked).toBeNull();
  });

  it('wants to know them on its unix socket too', async () => {
    const path = join(temporaryFolder('socket'), 'agent.sock');
    const file = { redis: standalone(redis.port), security: { auth: { required: true } } };
    const grpcAddress = `127.0.0.1:0,unix:${path}`;
    const agent = await startAgent({ file: { ...file, grpcAddress }, env: { CACHE_AUTH_TOKEN: APP } });
    onTestFinished(() => agent.stop());
    const onSocket = { ...agent, address: `unix:${path}` };
    await expect(clientOf(onSocket, {}).get('gpu_avail', 'k')).rejects.toMatchObject(UNKNOWN);
    expect(await clientOf(onSocket, { token: APP }).get('gpu_avail', 'k')).toMatchObject({ node: 'local' });
  });

  it('keeps nothing of streams that it refused, though their client leaves them open', async () => {
    const agent = await startWithTokens();
    const session = connect(`http://${agent.address}`);
    onTestFinished(() => session.destroy());
    const open = () =>
      new Promise<string>((resolve, reject) => {
        const stream = session.request(
          { ':method': 'POST', ':path': EdgeCacheService.lookup.path, 'content-type': 'application/grpc' },
          { endStream: false },
        );
        let refused = '';
        stream.on('response', (headers) => {
          refused = String(headers['grpc-status']);
        });
        stream.on('error', reject);
        stream.on('close', () => resolve(refused));
        stream.resume();
      });
    const ends = await within(
      10_000,
      'every stream is closed by the agent',
      Promise.all(Array.from({ length: 500 }, open)),
    );
    expect(new Set(ends)).toEqual(new Set([String(status.UNAUTHENTICATED)]));
  });

  it('does everything for tokens of its own where there are no rules', async () => {
    const agent = await start({ security: { auth: { required: true } }, env: { CACHE_AUTH_TOKEN: APP } });
    const client = clientOf(agent, { token: APP });
    await client.put('a', 'k', 1, { confirm: true });
    expect(await client.get('a', 'k')).toMatchObject({ status: 'hit' });
    expect((await client.stats()).status).toBe('healthy');
  });
});

describe('rules', () => {
  it('are held in every call', async () => {
    const agent = await startWithTokens();
    const [ops, app] = [clientOf(agent, { token: OPS }), clientOf(agent, { token: APP })];
    await ops.put('a', 'k', 1, { confirm: true });
    await ops.put('b', 'k', 2, { confirm: true });
    expect(await app.get('a', 'k')).toMatchObject({ status: 'hit', value: 1 });
    expect(await app.getMany('a', ['k', 'none'])).toMatchObject([{ status: 'hit' }, { status: 'miss' }]);
    await expect(app.get('b', 'k')).rejects.toMatchObject(denied("token:app may not read in namespace 'b'"));
    await expect(app.get('unknown', 'k')).rejects.toMatchObject(denied('token:app may not read'));
    await expect(app.getMany('b', ['k'])).rejects.toMatchObject(denied('may not read'));
    await expect(app.put('a', 'k', 3)).rejects.toMatchObject(denied("may not write in namespace 'a'"));
    await expect(app.invalidate('a', { keys: ['k'] })).rejects.toMatchObject(denied('may not invalidate'));
    await expect(app.publish({ type: 'x', namespaces: ['a', 'b'] })).rejects.toMatchObject(
      denied('may not invalidate'),
    );
    await expect(app.publish({ type: 'b_changed' })).rejects.toMatchObject(denied("in namespace 'b'"));
    await expect(app.stats()).rejects.toMatchObject(denied('may not call Stats, which needs admin'));
    await expect(app.explain('b', 'k')).rejects.toMatchObject(denied('may not read'));
    expect(await ops.get('a', 'k')).toMatchObject({ value: 1 });
    expect((await ops.stats()).status).toBe('healthy');
  });

  it('refuse one item of a stream, and not its neighbours', async () => {
    const agent = await startWithTokens();
    await clientOf(agent, { token: OPS }).put('a', 'k', 1, { confirm: true });
    const app = clientOf(agent, { token: APP });
    await app.get('a', 'k');
    const looked = await Promise.allSettled([
      app.get('a', 'k'),
      app.get('b', 'k'),
      app.get('a', 'none'),
      app.get('b', 'other'),
    ]);
    expect(looked.map(({ status: how }) => how)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected']);
  });

  it('give no lease to load to who may not write: each loads, and nobody waits for them', async () => {
    const agent = await startWithTokens();
    const app = clientOf(agent, { token: APP });
    const ops = clientOf(agent, { token: OPS });
    expect(await app.getOrLoad('a', 'k', async () => 'app’s', { waitMs: 100 })).toBe('app’s');
    expect(await app.get('a', 'k')).toMatchObject({ status: 'miss' });
    expect(await ops.getOrLoad('a', 'k', async () => 'ops’')).toBe('ops’');
    expect(await app.get('a', 'k')).toMatchObject({ status: 'hit', value: 'ops’' });
  });

  it('hold for near caches: what may not be read is not followed', async () => {
    const agent = await startWithTokens();
    await clientOf(agent, { token: OPS }).put('a', 'k', 1, { confirm: true });
    const near = { namespaces: { a: {} }, renewMs: 20 };
    const app = clientOf(agent, { token: APP, near });
    await until('it is answered in the process', async () => {
      const found = await app.get('a', 'k');
      return found.status === 'hit' && found.source === 'near';
    });
    const wrong = clientOf(agent, { token: APP, near: { ...near, namespaces: { b: {} } } });
    await expect(wrong.get('b', 'k')).rejects.toMatchObject(denied('may not read'));
    expect(wrong.nearStats?.admitted).toBe(0);
  });

  it('may let in who shows nothing, where nobody need be known', async () => {
    const accessRules: Rules = [...RULES, { identities: ['anonymous'], namespaces: ['a'], allow: ['read'] }];
    const agent = await start({ security: { accessRules }, env: { CACHE_AUTH_TOKEN: `ops=${OPS}` } });
    await clientOf(agent, { token: OPS }).put('a', 'k', 1, { confirm: true });
    expect(await agent.client.get('a', 'k')).toMatchObject({ value: 1 });
    await expect(agent.client.put('a', 'k', 2)).rejects.toMatchObject(denied('anonymous may not write'));
    await expect(clientOf(agent, { token: 'wrong-token-of-16-or-more' }).get('a', 'k')).rejects.toMatchObject(
      UNKNOWN,
    );
  });

  it('change without a restart, for streams that stand too', async () => {
    const folder = temporaryFolder('rules');
    const path = join(folder, 'agent.json');
    const fileOf = (accessRules: Rules) => ({
      cacheId: 'rules',
      logLevel: 'silent' as const,
      redis: standalone(redis.port),
      namespaces: NAMESPACES,
      security: { auth: { required: true }, accessRules },
    });
    const bytes = Buffer.from(JSON.stringify(fileOf(RULES)));
    writeFileSync(path, bytes);
    const variables = { CACHE_AUTH_TOKEN: `ops=${OPS},app=${APP}` };
    const agent = await startAgent({ file: fileOf(RULES), env: variables, configFile: { path, bytes } });
    onTestFinished(() => agent.stop());
    const app = clientOf(agent, { token: APP });
    const watching = watch(agent, APP, ['a']);
    expect(await app.get('a', 'k')).toMatchObject({ status: 'miss' });
    const others: Rules = [{ identities: ['token:app'], namespaces: ['b'], allow: ['read', 'write'] }];
    writeFileSync(path, JSON.stringify(fileOf(others)));
    await until('the new rules hold', () => app.put('b', 'k', 1).catch(() => undefined));
    await expect(app.get('a', 'k')).rejects.toMatchObject(denied('may not read'));
    expect(await watching).toBe(status.PERMISSION_DENIED);
  });
});

/** Follows until the stream ends. @returns how it ended */
function watch({ address }: TestAgent, token: string, namespaces: string[]): Promise<number> {
  const client = new Client(address, credentials.createInsecure());
  onTestFinished(() => client.close());
  const { path, requestSerialize, responseDeserialize } = EdgeCacheService.watch;
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  const request = { namespaces, clientId: 'test', leaseMs: 0 };
  const stream = client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    request,
    metadata,
  );
  stream.on('data', () => undefined);
  return new Promise((resolve) => {
    stream.on('error', ({ code }: ServiceError) => resolve(code));
    stream.on('end', () => resolve(status.OK));
  });
}

describe('tokens in a file', () => {
  it('are rotated, with the certificate, while no lookup fails', async () => {
    const pair = () => {
      const { certFile, keyFile } = authority.issueForAgent();
      return { 'tls.crt': readFileSync(certFile), 'tls.key': readFileSync(keyFile) };
    };
    const tls = new MountedFolder(pair());
    const served = new MountedFolder({ tokens: `app=${APP}\n` });
    const shown = new MountedFolder({ token: APP });
    const agent = await start({
      security: {
        tls: { enabled: true, certFile: tls.file('tls.crt'), keyFile: tls.file('tls.key') },
        auth: { required: true, tokenFile: served.file('tokens') },
      },
    });
    const options = { tls: { caFile: authority.caFile }, tokenFile: shown.file('token') };
    const client = clientOf(agent, options);
    await client.put('a', 'k', 1, { confirm: true });
    const load = { done: 0, failed: [] as unknown[], over: false };
    const note = (looking: Promise<unknown>) =>
      looking.then(
        () => (load.done += 1),
        (error: unknown) => load.failed.push(error),
      );
    const running = Promise.all([
      ...Array.from({ length: 3 }, async () => {
        while (!load.over) await note(client.get('a', 'k'));
      }),
      // And one whose connections are always new.
      (async () => {
        while (!load.over) {
          const other = clientOf(agent, options);
          await note(other.get('a', 'k'));
          other.close();
        }
      })(),
    ]);
    const taken = async (name: string, count: number) => (await scraped(agent)).get(name) === count;
    // As one does it: the agents take both, then clients show the new one, then the old one is taken away.
    served.swap({ tokens: `app=${APP}\napp=${NEXT}\n` });
    tls.swap(pair());
    await until('the certificate is taken', () => taken('edgecache_tls_reloads_total{result="taken"}', 1));
    await until('both tokens are taken', () =>
      clientOf(agent, { tls: options.tls, token: NEXT })
        .get('a', 'k')
        .catch(() => undefined),
    );
    shown.swap({ token: NEXT });
    served.swap({ tokens: `app=${NEXT}\n` });
    await until('the old token is refused', async () => {
      const old = clientOf(agent, { tls: options.tls, token: APP });
      const failure = await old.get('a', 'k').catch((error: unknown) => error);
      old.close();
      return failure instanceof Error && 'code' in failure && failure.code === UNKNOWN.code;
    });
    const before = load.done;
    await until('lookups go on', () => load.done > before + 100);
    load.over = true;
    await running;
    expect(load.failed).toEqual([]);
  });

  it('that are taken away end the streams that were opened with them', async () => {
    const served = new MountedFolder({ tokens: `app=${APP}\nops=${OPS}\n` });
    const agent = await start({ security: { auth: { required: true, tokenFile: served.file('tokens') } } });
    const watching = [watch(agent, APP, ['a']), watch(agent, OPS, ['a'])] as const;
    const looking = lookupStream(agent, APP);
    expect((await looking.ask('a', 'k')).refusal).toBeUndefined();
    served.swap({ tokens: `ops=${OPS}\n` });
    expect(await watching[0]).toBe(status.UNAUTHENTICATED);
    expect(await looking.ended).toBe(status.UNAUTHENTICATED);
    expect(await clientOf(agent, { token: OPS }).get('a', 'k')).toMatchObject({ status: 'miss' });
    expect(await Promise.race([watching[1], Promise.resolve('stands')])).toBe('stands');
  });

  it('that are wrong stop the start, and later leave those before', async () => {
    const served = new MountedFolder({ tokens: 'short\n' });
    const security = { auth: { required: true, tokenFile: served.file('tokens') } };
    await expect(start({ security })).rejects.toMatchObject({ code: 'EC_SECURITY_FILE' });
    served.swap({ tokens: `${APP}\n` });
    const agent = await start({ security });
    served.swap({ tokens: '\n' });
    const refused = 'edgecache_token_reloads_total{result="refused"}';
    await until('the empty file is refused', async () => (await scraped(agent)).get(refused) === 1);
    const client = clientOf(agent, { token: APP });
    expect(await client.get('a', 'k')).toMatchObject({ status: 'miss' });
  });
});

function lookupStream({ address }: TestAgent, token: string) {
  const client = new Client(address, credentials.createInsecure());
  onTestFinished(() => client.close());
  const { path, requestSerialize, responseDeserialize } = EdgeCacheService.lookup;
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
  const ended = new Promise<number>((resolve) => {
    stream.on('error', ({ code }: ServiceError) => resolve(code));
  });
  const ask = (namespace: string, key: string) =>
    new Promise<BatchGetResponse>((resolve) => {
      stream.once('data', resolve);
      const items = [{ namespace, key, minToken: '', wantLease: false }];
      stream.write({ id: 1, items, split: false, wantTags: false, refreshBelowMs: 0, traces: undefined });
    });
  return { ended, ask };
}

describe('client certificates', () => {
  it('say who somebody is, unless a token does', async () => {
    const { certFile, keyFile } = authority.issueForAgent();
    const { caFile } = authority;
    const agent = await start({
      security: {
        tls: { enabled: true, certFile, keyFile, caFile, clientCert: 'optional' },
        auth: { required: true },
        accessRules: RULES,
      },
      env: { CACHE_AUTH_TOKEN: `ops=${OPS}` },
    });
    const app = { tls: { caFile, ...authority.issue('app') } };
    const stranger = { tls: { caFile, ...authority.issue('stranger') } };
    await clientOf(agent, { ...app, token: OPS }).put('b', 'k', 1);
    expect(await clientOf(agent, app).get('a', 'k')).toMatchObject({ status: 'miss' });
    await expect(clientOf(agent, app).get('b', 'k')).rejects.toMatchObject(denied('cert:app may not read'));
    await expect(clientOf(agent, stranger).get('a', 'k')).rejects.toMatchObject(denied('cert:stranger'));
    await expect(clientOf(agent, { tls: { caFile } }).get('a', 'k')).rejects.toMatchObject(UNKNOWN);
    const forged = new Authority('somebody else').issue('app');
    await expect(clientOf(agent, { tls: { caFile, ...forged } }).get('a', 'k')).rejects.toMatchObject(
      UNKNOWN,
    );
  });
});

describe('the command line', () => {
  it('shows a token and a certificate, by options or environment', async () => {
    const { certFile, keyFile } = authority.issueForAgent();
    const agent = await start({
      security: {
        tls: { enabled: true, certFile, keyFile },
        auth: { required: true },
        accessRules: RULES,
      },
      env: { CACHE_AUTH_TOKEN: `ops=${OPS},app=${APP}` },
    });
    const tokenFile = join(temporaryFolder('cli'), 'token');
    writeFileSync(tokenFile, `${OPS}\n`);
    const options = ['--address', agent.address, '--ca', authority.caFile, '--token-file', tokenFile];
    expect(await edgecache(['put', 'a', 'k', '1', ...options])).toMatchObject({ code: 0 });
    expect(await edgecache(['stats', ...options])).toMatchObject({ code: 0 });
    const env = {
      EDGECACHE_ADDRESS: agent.address,
      EDGECACHE_CA: authority.caFile,
      EDGECACHE_SERVER_NAME: 'agent.test',
      EDGECACHE_TOKEN: APP,
    };
    expect(await edgecache(['get', 'a', 'k'], env)).toMatchObject({ code: 0, out: '1' });
    expect(await edgecache(['get', 'b', 'k'], env)).toMatchObject({
      code: 1,
      err: expect.stringContaining("token:app may not read in namespace 'b'"),
    });
    expect(await edgecache(['watch', 'b'], env)).toMatchObject({
      code: 1,
      err: expect.stringContaining('may not read'),
    });
    const { EDGECACHE_CA: _ca, ...untrusting } = env;
    expect(await edgecache(['get', 'a', 'k'], untrusting)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/self-signed|unable to verify|issuer/),
    });
    expect(await edgecache(['get', 'a', 'k', '--cert', certFile], env)).toMatchObject({ code: 2 });
    expect(await edgecache(['get', 'a', 'k'], { ...env, EDGECACHE_TLS: 'maybe' })).toMatchObject({ code: 2 });
  });
});

async function edgecache(args: readonly string[], env: Record<string, string> = {}) {
  const [out, err] = [new PassThrough(), new PassThrough()];
  const said = { out: '', err: '' };
  out.on('data', (chunk) => {
    said.out += String(chunk);
  });
  err.on('data', (chunk) => {
    said.err += String(chunk);
  });
  const stdin = async () => Buffer.alloc(0);
  const { signal } = new AbortController();
  const now = () => performance.now();
  const code = await run({ args, env, out, err, stdin, signal, version: '0', now });
  return { code, out: said.out.trim(), err: said.err };
}

describe('ServiceAccounts', () => {
  it('are verified by the API server, within its audience; away, it is said so', async () => {
    const api = await fakeApi();
    const agent = await start({
      security: {
        auth: { required: true, serviceAccounts: true, audience: 'edgecache' },
        accessRules: [{ identities: ['serviceaccount:shop/web'], namespaces: ['a'], allow: ['read'] }],
      },
      more: { kubernetes: api.address },
    });
    const jwt = (name: string) => `h.${Buffer.from(JSON.stringify({ name })).toString('base64url')}.s`;
    api.users.set(jwt('web'), { username: 'system:serviceaccount:shop:web', audiences: ['edgecache'] });
    api.users.set(jwt('other'), { username: 'system:serviceaccount:shop:other', audiences: ['edgecache'] });
    api.users.set(jwt('elsewhere'), { username: 'system:serviceaccount:shop:web', audiences: ['vault'] });
    const web = clientOf(agent, { token: jwt('web') });
    expect(await Promise.all([web.get('a', 'k'), web.get('a', 'l')])).toHaveLength(2);
    await expect(clientOf(agent, { token: jwt('other') }).get('a', 'k')).rejects.toMatchObject(
      denied('serviceaccount:shop/other may not read'),
    );
    for (const name of ['elsewhere', 'nobody'])
      await expect(clientOf(agent, { token: jwt(name) }).get('a', 'k')).rejects.toMatchObject(UNKNOWN);
    const { asked } = api;
    expect(asked.filter(({ token }) => token === jwt('web'))).toHaveLength(1);
    expect(asked[0]).toMatchObject({ authorization: 'Bearer own-token', audiences: ['edgecache'] });
    await api.stop();
    expect(await web.get('a', 'm')).toMatchObject({ status: 'miss' });
    await expect(clientOf(agent, { token: jwt('late') }).get('a', 'k')).rejects.toMatchObject({
      ...UNKNOWN,
      retryable: true,
      message: expect.stringContaining('API server does not answer'),
    });
  });

  it('outside of a cluster stop the start', async () => {
    const security: Security = { auth: { required: true, serviceAccounts: true }, accessRules: RULES };
    await expect(start({ security })).rejects.toThrow('KUBERNETES_SERVICE_HOST is not set');
  });
});

interface Asked {
  readonly token: string;
  readonly audiences: readonly string[];
  readonly authorization: string | undefined;
}

/** Speaks of TokenReviews as the API server does; test/kube asks a real one. */
async function fakeApi() {
  const { certFile, keyFile } = authority.issueForAgent();
  const users = new Map<string, { username: string; audiences: string[] }>();
  const asked: Asked[] = [];
  const server = createServer(
    { cert: readFileSync(certFile), key: readFileSync(keyFile) },
    (request, response) => {
      let body = '';
      request.on('data', (chunk) => {
        body += String(chunk);
      });
      request.on('end', () => {
        const { token, audiences } = JSON.parse(body).spec;
        asked.push({ token, audiences, authorization: request.headers.authorization });
        const user = users.get(token);
        const fits = user?.audiences.some((one) => audiences.includes(one)) === true;
        const { username = '' } = user ?? {};
        const verified = { authenticated: true, user: { username }, audiences: user?.audiences };
        response.writeHead(201, { 'content-type': 'application/json' });
        response.end(
          JSON.stringify({ status: fits ? verified : { user: {}, error: 'invalid bearer token' } }),
        );
      });
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const folder = temporaryFolder('api');
  mkdirSync(folder, { recursive: true });
  const tokenFile = join(folder, 'token');
  writeFileSync(tokenFile, 'own-token');
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  onTestFinished(stop);
  return { address: { host: '127.0.0.1', port, caFile: authority.caFile, tokenFile }, users, asked, stop };
}

describe('settings that would leave a port open, or nobody in', () => {
  it.each<[string, Security, Record<string, string>, RegExp]>([
    [
      'auth without anybody who could get in',
      { auth: { required: true } },
      {},
      /security\.auth\.required.*needs tokens/,
    ],
    ['tokens that nobody need show', {}, { CACHE_AUTH_TOKEN: APP }, /must be true \(CACHE_REQUIRE_AUTH\)/],
    ['ServiceAccounts without rules', { auth: { required: true, serviceAccounts: true } }, {}, /accessRules/],
    [
      'a misspelt identity',
      { accessRules: [{ identities: ['tokens:x'], namespaces: ['a'], allow: ['read'] }] },
      {},
      /accessRules\[0\]\.identities\[0\]/,
    ],
    ['a short token', { auth: { required: true } }, { CACHE_AUTH_TOKEN: 'short' }, /5 characters as token 1/],
  ])('%s', async (_name, security, env, message) => {
    await expect(start({ security, env })).rejects.toThrow(message);
  });
});
