import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import { temporaryFolder, until } from '../../hack/local/children.ts';
import { LocalAgent } from '../../hack/local/local-agent.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent } from '../support/cache.ts';

async function setUp() {
  const redis = await RedisServer.start();
  onTestFinished(() => redis.stop());
  const path = join(temporaryFolder('socket'), 'agent.sock');
  return { file: { redis: standalone(redis.port) }, path };
}

/** An agent in a process of its own, on the socket alone. */
async function processOn(path: string, file: object) {
  const env = { CACHE_GRPC_ADDRESS: `unix:${path}` };
  const agent = await LocalAgent.start({ nodeId: 'own', file, env });
  onTestFinished(() => agent.stop('SIGKILL'));
  return agent;
}

function clientOf(...addresses: string[]) {
  const client = new EdgeCacheClient({ addresses, connectTimeoutMs: 2_000, deadlineMs: 5_000 });
  onTestFinished(() => client.close());
  return client;
}

describe('a unix socket', () => {
  it('serves beside TCP, and near caches too', async () => {
    const { file, path } = await setUp();
    const agent = await startAgent({ file: { ...file, grpcAddress: `127.0.0.1:0,unix:${path}` } });
    onTestFinished(() => agent.stop());
    await agent.client.put('gpu_avail', 'k', 'by TCP', { confirm: true });
    const near = new EdgeCacheClient({
      addresses: [`unix:${path}`],
      connectTimeoutMs: 2_000,
      near: { namespaces: { gpu_avail: {} }, renewMs: 20 },
    });
    onTestFinished(() => near.close());
    await until('it is answered in the process', async () => {
      const found = await near.get('gpu_avail', 'k');
      expect(found).toMatchObject({ status: 'hit', value: 'by TCP' });
      return found.status === 'hit' && found.source === 'near';
    });
    await agent.client.put('gpu_avail', 'k', 'newer', { confirm: true });
    expect(await near.get('gpu_avail', 'k')).toMatchObject({ value: 'newer' });
  });

  it('is open to those who reach its folder, and gone with its agent', async () => {
    const { file, path } = await setUp();
    const agent = await processOn(path, file);
    expect(statSync(path).mode & 0o777).toBe(0o666);
    await agent.stop('SIGTERM');
    expect(existsSync(path)).toBe(false);
  });

  it('that a killed agent left behind is taken over by the next, and clients come back', async () => {
    const { file, path } = await setUp();
    const agent = await processOn(path, file);
    const client = clientOf(`unix:${path}`);
    await client.put('gpu_avail', 'k', 1);
    await agent.stop('SIGKILL');
    expect(existsSync(path)).toBe(true);
    expect(await client.getOrLoad('gpu_avail', 'k', async () => 'the loader’s')).toBe('the loader’s');
    await agent.start();
    await until('it answers again', async () => {
      const found = await client.get('gpu_avail', 'k').catch(() => undefined);
      return found?.status === 'hit' && found.value === 1;
    });
  });

  it('of an agent that lives is left to it', async () => {
    const { file, path } = await setUp();
    await processOn(path, file);
    const second = startAgent({ file: { ...file, grpcAddress: `unix:${path}` }, waitReady: false });
    await expect(second).rejects.toMatchObject({
      code: 'EC_LISTEN_FAILED',
      message: expect.stringContaining('CACHE_GRPC_ADDRESS'),
    });
    expect(await clientOf(`unix:${path}`).get('gpu_avail', 'k')).toMatchObject({ node: 'own' });
  });

  it('whose agent is gone costs one turn: the next agent answers, then the loader', async () => {
    const { file, path } = await setUp();
    const own = await processOn(path, file);
    const other = await LocalAgent.start({ nodeId: 'other', file });
    onTestFinished(() => other.stop('SIGKILL'));
    const client = clientOf(`unix:${path}`, other.address);
    await client.put('gpu_avail', 'k', 1, { confirm: true });
    expect(await client.get('gpu_avail', 'k')).toMatchObject({ node: 'own' });
    await own.stop('SIGKILL');
    expect(await client.get('gpu_avail', 'k')).toMatchObject({ status: 'hit', value: 1, node: 'other' });
    await other.stop('SIGKILL');
    expect(await client.getOrLoad('gpu_avail', 'k', async () => 2)).toBe(2);
  });
});
