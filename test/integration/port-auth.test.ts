import { writeFileSync } from 'node:fs';
import { connect } from 'node:http2';
import { join } from 'node:path';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { temporaryFolder, until, within } from '../../hack/local/children.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { EdgeCacheService } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { standalone, startAgent } from '../support/cache.ts';
import {
  APP,
  clientOf,
  denied,
  NAMESPACES,
  OPS,
  RULES,
  type Rules,
  startGuarded,
  startWithTokens,
  UNKNOWN,
  watch,
} from '../support/guarded-agent.ts';
import { scraped } from '../support/metrics.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await RedisServer.start();
});
afterAll(() => redis.stop());

describe('a port that requires to know its callers', () => {
  it('takes no call or stream of who shows nothing, or a wrong token', async () => {
    const agent = await startWithTokens(redis);
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
    const agent = await startWithTokens(redis);
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
    const agent = await startWithTokens(redis);
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
    const agent = await startGuarded({
      redis,
      security: { auth: { required: true } },
      env: { CACHE_AUTH_TOKEN: APP },
    });
    const client = clientOf(agent, { token: APP });
    await client.put('a', 'k', 1, { confirm: true });
    expect(await client.get('a', 'k')).toMatchObject({ status: 'hit' });
    expect((await client.stats()).status).toBe('healthy');
  });
});

describe('rules', () => {
  it('are held in every call', async () => {
    const agent = await startWithTokens(redis);
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
    const agent = await startWithTokens(redis);
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
    const agent = await startWithTokens(redis);
    const app = clientOf(agent, { token: APP });
    const ops = clientOf(agent, { token: OPS });
    expect(await app.getOrLoad('a', 'k', async () => 'app’s', { waitMs: 100 })).toBe('app’s');
    expect(await app.get('a', 'k')).toMatchObject({ status: 'miss' });
    expect(await ops.getOrLoad('a', 'k', async () => 'ops’')).toBe('ops’');
    expect(await app.get('a', 'k')).toMatchObject({ status: 'hit', value: 'ops’' });
  });

  it('hold for near caches: what may not be read is not followed', async () => {
    const agent = await startWithTokens(redis);
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
    const agent = await startGuarded({
      redis,
      security: { accessRules },
      env: { CACHE_AUTH_TOKEN: `ops=${OPS}` },
    });
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
