import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type AgentFile, resolveAgentConfig } from '../../api/agent-config.ts';
import { temporaryFolder, until } from '../../hack/local/children.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent, type TestAgentOptions } from '../support/cache.ts';

const MARKER = 'plain-text-that-must-not-be-found';
const newKey = () => randomBytes(32).toString('base64');

let redis: RedisServer;
let caches = 0;

beforeAll(async () => {
  // With all rights: Redis replays an append-only file as the default user, and would leave out what that one may not do.
  redis = await RedisServer.start({ rights: 'all', args: ['--appendonly', 'yes'] });
});
afterAll(() => redis?.stop());

function keyFileOf(...keys: string[]): string {
  const path = join(temporaryFolder('keys'), 'keys');
  writeFileSync(path, `${keys.join('\n')}\n`);
  return path;
}

/** A cache of its own, with an encrypted namespace and an open one. */
function fileOf(keyFile: string | undefined, more: Partial<AgentFile> = {}): AgentFile {
  return {
    redis: standalone(redis.port),
    namespaces: [
      { name: 'secret', encrypt: true, compressAboveBytes: 200, critical: true },
      { name: 'open', pushValueBytes: 1_000 },
    ],
    ...(keyFile === undefined ? {} : { encryption: { keyFile } }),
    ...more,
  };
}

async function agentOf(options: TestAgentOptions) {
  const one = await startAgent(options);
  onTestFinished(() => one.stop());
  return one;
}

const newCache = () => `enc${++caches}`;

async function metric(agent: { http: (path: string) => Promise<Response> }, name: string): Promise<number> {
  const line = (await (await agent.http('/metrics')).text())
    .split('\n')
    .find((text) => text.startsWith(name));
  return Number(line?.split(' ').at(-1));
}

/** Everything that Redis has written to its disk. */
async function diskOf(server: RedisServer): Promise<Buffer> {
  const reply: unknown = await server.admin.config('GET', 'dir');
  // RESP2 and RESP3 tell it differently.
  const dir = Array.isArray(reply) ? String(reply[1]) : String(Object.values(Object(reply))[0]);
  await server.admin.save();
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
  return Buffer.concat(files.map((file) => readFileSync(join(file.parentPath, file.name))));
}

describe('an encrypted namespace', () => {
  it('is read by every agent that has the key, small values and compressed ones, from memory and after a restart', async () => {
    const file = fileOf(keyFileOf(newKey()), { cacheId: newCache() });
    const [a, b] = [await agentOf({ file }), await agentOf({ file })];
    const large = { text: MARKER.repeat(100) };
    await a.client.put('secret', 'small', MARKER, { tags: ['t'] });
    await a.client.put('secret', 'large', large, { confirm: true });
    await a.client.getOrLoad('secret', 'loaded', async () => MARKER);
    for (const client of [a.client, b.client, a.client]) {
      expect(await client.get('secret', 'small')).toMatchObject({ status: 'hit', value: MARKER });
      expect(await client.get('secret', 'large')).toMatchObject({ status: 'hit', value: large });
      expect(await client.get('secret', 'loaded')).toMatchObject({ status: 'hit', value: MARKER });
    }
    const late = await agentOf({ file });
    expect(await late.client.get('secret', 'large')).toMatchObject({ value: large });
    await a.client.invalidate('secret', { tags: ['t'] }, { confirm: true });
    expect((await b.client.get('secret', 'small')).status).toBe('miss');
  });

  it('leaves no plain value in Redis, its log, its dump, its append-only file, its messages, or the outbox', async () => {
    const dir = temporaryFolder('outbox');
    const cacheId = newCache();
    const file = fileOf(keyFileOf(newKey()), { cacheId, outbox: { dir } });
    const heard: string[] = [];
    const ear = redis.admin.duplicate();
    onTestFinished(() => ear.disconnect());
    ear.on('error', () => undefined);
    ear.on('smessage', (_, text: string) => heard.push(text));
    for (let i = 0; i < 16; i++) await ear.ssubscribe(`ec:{${cacheId}:${i}}:events`);
    const agent = await agentOf({ file });
    for (let i = 0; i < 20; i++) await agent.client.put('secret', `k${i}`, `${MARKER} ${i}`);
    await agent.client.getOrLoad('secret', 'loaded', async () => MARKER);
    await agent.client.put('open', 'k', 'shown', { confirm: true });
    await until('messages came', () => heard.length > 20);
    // Another value is found, so this looks at the right places.
    const found = await diskOf(redis);
    expect(found.includes('shown')).toBe(true);
    expect(found.includes(MARKER)).toBe(false);
    expect(heard.join()).not.toContain(MARKER);
    expect(heard.join()).not.toContain(Buffer.from(MARKER).toString('base64').slice(0, 20));
    await redis.restart(async () => {
      expect(await agent.client.put('secret', 'waits', MARKER)).toMatchObject({ state: 'queued' });
      expect(await agent.client.put('open', 'waits', 'shown')).toMatchObject({ state: 'queued' });
      const journal = readFileSync(join(dir, `outbox-${cacheId}.jsonl`), 'utf8');
      const values = [...journal.matchAll(/"value":"([^"]*)"/g)].map(([, text = '']) =>
        Buffer.from(text, 'base64'),
      );
      expect(Buffer.concat(values).includes('shown')).toBe(true);
      expect(Buffer.concat(values).includes(MARKER)).toBe(false);
    });
    const lookUp = () => agent.client.get('secret', 'waits');
    await until('the change was sent', async () => {
      const answer = await lookUp();
      return answer.status === 'hit' && answer.value === MARKER;
    });
  });

  it('changes keys without a restart; what nobody can open any more is a miss that is loaded anew', async () => {
    const [old, fresh] = [newKey(), newKey()];
    const cacheId = newCache();
    const keyFile = keyFileOf(old);
    const agent = await agentOf({ file: fileOf(keyFile, { cacheId }) });
    await agent.client.put('secret', 'before', 1);
    writeFileSync(keyFile, `${fresh}\n${old}\n`);
    // Who has only the new key reads what is written from now on.
    const other = await agentOf({ file: fileOf(keyFileOf(fresh), { cacheId }) });
    await until('the new key encrypts', async () => {
      await agent.client.put('secret', 'after', 2, { confirm: true });
      return (await other.client.get('secret', 'after')).status === 'hit';
    });
    expect(await agent.client.get('secret', 'before')).toMatchObject({ status: 'hit', value: 1 });
    expect((await other.client.get('secret', 'before')).status).toBe('miss');
    expect(await metric(other, 'edgecache_l2_unopened_total{reason="unknown-key"}')).toBeGreaterThan(0);
    // One caller gets the lease, though there is something; the others wait for it.
    let loads = 0;
    const load = async () => {
      loads += 1;
      return 1;
    };
    const answers = await Promise.all([1, 2, 3].map(() => other.client.getOrLoad('secret', 'before', load)));
    expect(answers).toEqual([1, 1, 1]);
    expect(loads).toBe(1);
  });

  it('answers with nothing that was put in the place of an entry in Redis', async () => {
    const cacheId = newCache();
    const file = fileOf(keyFileOf(newKey()), { cacheId, partitions: 1 });
    const agent = await agentOf({ file });
    for (const key of ['a', 'b', 'c']) await agent.client.put('secret', key, `value of ${key}`);
    const name = (key: string) => `ec:{${cacheId}:0}:e:secret:${key}`;
    const raw = (await redis.admin.getBuffer(name('a'))) ?? Buffer.alloc(0);
    await redis.admin.set(name('b'), raw, 'PX', 60_000);
    await redis.admin.set(name('c'), '1-0 0 0\n"forged"', 'PX', 60_000);
    const reader = await agentOf({ file });
    expect(await reader.client.get('secret', 'a')).toMatchObject({ value: 'value of a' });
    expect((await reader.client.get('secret', 'b')).status).toBe('miss');
    expect((await reader.client.get('secret', 'c')).status).toBe('miss');
    expect(await metric(reader, 'edgecache_l2_unopened_total{reason="altered"}')).toBe(1);
    expect(await metric(reader, 'edgecache_l2_unopened_total{reason="plain"}')).toBe(1);
  });
});

it('is refused without keys, and together with values in messages', () => {
  expect(() => resolveAgentConfig(fileOf(undefined), {})).toThrow(
    /namespaces\[0\]\.encrypt.*CACHE_ENCRYPTION_KEY_FILE/,
  );
  const both = [{ name: 'a', encrypt: true, pushValueBytes: 10 }];
  expect(() => resolveAgentConfig({ namespaces: both, encryption: { keyFile: '/k' } }, {})).toThrow(
    /pushValueBytes/,
  );
});
