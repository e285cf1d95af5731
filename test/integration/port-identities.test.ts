import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { run } from '../../cli/run.ts';
import { temporaryFolder, until } from '../../hack/local/children.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { type BatchGetResponse, EdgeCacheService } from '../../proto/gen/edgecache/v1/edgecache.ts';
import type { TestAgent } from '../support/cache.ts';
import { Authority, MountedFolder } from '../support/certificates.ts';
import {
  APP,
  clientOf,
  denied,
  OPS,
  RULES,
  type Security,
  type Setting,
  startGuarded,
  UNKNOWN,
  watch,
} from '../support/guarded-agent.ts';
import { scraped } from '../support/metrics.ts';

const NEXT = 'next-token-of-16-or-more';

let redis: RedisServer;
let authority: Authority;
beforeAll(async () => {
  redis = await RedisServer.start();
  authority = new Authority('auth');
});
afterAll(() => redis.stop());

const start = (setting: Omit<Setting, 'redis'>) => startGuarded({ redis, ...setting });

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
