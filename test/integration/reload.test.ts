import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { AgentFile } from '../../api/agent-config.ts';
import { configHash, publicKeyText, RELOAD_PATH, SIGNATURE_HEADER, signReload } from '../../api/reload.ts';
import { until } from '../../hack/local/children.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent, type TestAgent } from '../support/cache.ts';

const { privateKey } = generateKeyPairSync('ed25519');
const MINUTE = 60;

let redis: RedisServer;
let agent: TestAgent | undefined;
let folder: string;

beforeAll(async () => {
  redis = await RedisServer.start();
});
afterAll(() => redis.stop());
afterEach(async () => {
  await agent?.stop();
  agent = undefined;
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

function aFile(generation: number, changes: Partial<AgentFile> = {}): AgentFile {
  return {
    cacheId: 'reload',
    logLevel: 'silent',
    redis: standalone(redis.port),
    namespaces: [{ name: 'a', ttlSeconds: MINUTE }],
    origin: { tier: 'default/t', uid: 'uid-1', generation, reloadKey: publicKeyText(privateKey) },
    ...changes,
  };
}

/** An agent that was started with a file, as in a pod. */
async function start(file: AgentFile): Promise<TestAgent> {
  folder = mkdtempSync(join(tmpdir(), 'edgecache-reload-'));
  const path = join(folder, 'agent.json');
  writeFileSync(path, JSON.stringify(file));
  agent = await startAgent({ file, configFile: { path, bytes: Buffer.from(JSON.stringify(file)) } });
  return agent;
}

async function push(to: TestAgent, body: string, key: KeyObject = privateKey) {
  const headers = { [SIGNATURE_HEADER]: signReload(key, body) };
  const response = await to.http(RELOAD_PATH, { method: 'POST', body, headers });
  return { status: response.status, text: await response.text() };
}

describe('a reload', () => {
  it('changes namespaces, sizes and policy at once, keeps what is held, and is named in Stats', async () => {
    const file = aFile(1);
    const to = await start(file);
    const { client } = to;
    await client.put('a', 'k', { v: 1 });
    await until('the entry is in L1', async () => sourceOf(await client.get('a', 'k')) === 'l1');
    expect((await client.stats()).configHash).toBe(configHash(JSON.stringify(file)));

    const next = JSON.stringify(
      aFile(2, {
        l1: { maxEntries: 77, policy: 'lru' },
        namespaces: [
          { name: 'a', ttlSeconds: 2 * MINUTE },
          { name: 'b', ttlSeconds: MINUTE },
        ],
      }),
    );
    expect(await push(to, next)).toEqual({
      status: 200,
      text: `${JSON.stringify({ configHash: configHash(next) })}\n`,
    });
    const stats = await client.stats();
    expect(stats.configHash).toBe(configHash(next));
    expect(stats.l1?.maxEntries).toBe(77);
    expect(stats.namespaces.map(({ name, ttlMs }) => [name, ttlMs])).toEqual([
      ['a', 2 * MINUTE * 1000],
      ['b', MINUTE * 1000],
    ]);
    expect(sourceOf(await client.get('a', 'k'))).toBe('l1');
    await client.put('b', 'k', { v: 2 });
    expect(await client.get('b', 'k')).toMatchObject({ status: 'hit', value: { v: 2 } });
  });

  it('does not encrypt a namespace before there are keys, which come with a restart', async () => {
    const to = await start(aFile(1));
    const keyFile = join(folder, 'keys');
    writeFileSync(keyFile, Buffer.alloc(32, 1).toString('base64'));
    const next = aFile(2, { encryption: { keyFile }, namespaces: [{ name: 'a', encrypt: true }] });
    const refused = await push(to, JSON.stringify(next));
    expect(refused.status).toBe(422);
    expect(refused.text).toContain("namespace 'a' can only be encrypted with a restart");
    // As before, instead of refusing every write until its pod is replaced.
    await to.client.put('a', 'k', 1);
    expect(await to.client.get('a', 'k')).toMatchObject({ status: 'hit', value: 1 });
  });

  it('shortens the life of what is held where the TTL gets shorter', async () => {
    const to = await start(aFile(1));
    await to.client.put('a', 'k', 1);
    await until('the entry is in L1', async () => sourceOf(await to.client.get('a', 'k')) === 'l1');
    await push(
      to,
      JSON.stringify(aFile(2, { namespaces: [{ name: 'a', ttlSeconds: MINUTE, l1TtlSeconds: 1 }] })),
    );
    await until('it is asked of L2 again', async () => sourceOf(await to.client.get('a', 'k')) === 'l2');
  });

  it('goes on answering across a change of the bound, up and down', async () => {
    const to = await start(aFile(1));
    await to.client.put('a', 'k', 1);
    for (const [generation, maxStalenessMs] of [
      [2, 200],
      [3, 30_000],
      [4, 100],
    ] as const) {
      expect((await push(to, JSON.stringify(aFile(generation, { maxStalenessMs })))).status).toBe(200);
      await until('it is answered from L1 under the new bound', async () => {
        const { partitions } = JSON.parse(await (await to.http('/statusz')).text());
        const leases: number[] = partitions.map(({ leaseMs }: { leaseMs: number }) => leaseMs);
        return Math.max(...leases) <= maxStalenessMs && Math.min(...leases) > 0;
      });
      await until('L1 answers', async () => sourceOf(await to.client.get('a', 'k')) === 'l1');
    }
  });

  it.each([
    [
      'of another key',
      () => JSON.stringify(aFile(2)),
      generateKeyPairSync('ed25519').privateKey,
      401,
      /signature/,
    ],
    [
      'of an older generation',
      () => JSON.stringify(aFile(4)),
      privateKey,
      409,
      /generation 4 is older than 5/,
    ],
    [
      'of another tier',
      () =>
        JSON.stringify({
          ...aFile(9),
          origin: { tier: 'x/y', uid: 'uid-2', generation: 9, reloadKey: publicKeyText(privateKey) },
        }),
      privateKey,
      409,
      /another tier \(x\/y\)/,
    ],
    [
      'that would not pass at the start',
      () => JSON.stringify({ ...aFile(9), namespaces: [{ name: 'A B', ttlSeconds: 0 }] }),
      privateKey,
      422,
      /namespaces\[0\]/,
    ],
    ['that is no JSON', () => '{"l1": [', privateKey, 422, /./],
  ])('%s is refused, and changes nothing', async (_name, body, key, status, text) => {
    const file = aFile(5);
    const to = await start(file);
    const answer = await push(to, body(), key);
    expect(answer.status).toBe(status);
    expect(answer.text).toMatch(text);
    expect((await to.client.stats()).configHash).toBe(configHash(JSON.stringify(file)));
  });

  it('needs POST, an origin and a body of some size', async () => {
    const { origin: _origin, ...file } = aFile(1);
    const to = await start(file);
    expect((await push(to, '{}')).status).toBe(404);
    expect((await to.http(RELOAD_PATH)).status).toBe(405);
    expect((await push(to, 'x'.repeat(1024 * 1024 + 1))).status).toBe(413);
  });
});

describe('the mounted file', () => {
  it('is followed when the kubelet swaps it, unless it is older than what was sent', async () => {
    const to = await start(aFile(1));
    const path = join(folder, 'agent.json');
    const swap = (generation: number, maxEntries: number) => {
      const version = join(folder, `v${generation}-${maxEntries}.json`);
      writeFileSync(version, JSON.stringify(aFile(generation, { l1: { maxEntries } })));
      symlinkSync(version, `${path}.new`);
      renameSync(`${path}.new`, path);
    };
    const isSize = (size: number) => async () => (await to.client.stats()).l1?.maxEntries === size;
    swap(2, 22);
    await until('the file is read', isSize(22));
    expect((await push(to, JSON.stringify(aFile(4, { l1: { maxEntries: 44 } })))).status).toBe(200);
    swap(3, 33);
    swap(5, 55);
    await until('the newest file is read', isSize(55));
  });
});

function sourceOf(looked: { status: string; source?: string }): string | undefined {
  return looked.status === 'hit' ? looked.source : undefined;
}
