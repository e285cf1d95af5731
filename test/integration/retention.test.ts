import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { L2, L2_DEFAULTS } from '../../agent/l2/l2.ts';
import { defineScripts } from '../../agent/l2/scripts.ts';
import { resolveAgentConfig } from '../../api/agent-config.ts';
import { until } from '../../hack/local/children.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent } from '../support/cache.ts';

let redis: RedisServer;

beforeAll(async () => {
  redis = await RedisServer.start();
  defineScripts(redis.admin);
});
afterAll(() => redis?.stop());

const LOG_AGE_MS = 1_000;

it('keeps no event for longer than it may, in a busy partition and in a quiet one', async () => {
  const options = {
    ...L2_DEFAULTS,
    cacheId: randomUUID(),
    partitions: 1,
    fillLeaseMs: 1_000,
    logAgeMs: LOG_AGE_MS,
  };
  const l2 = new L2(() => redis.admin, options);
  const { log } = l2.keysOf(0);
  const nothing = { partition: 0, body: '"data":{}}', keys: [], tagMarkers: [], namespaceMarkers: [] };
  const change = () => l2.change({ ...nothing, eventId: randomUUID(), minReplicas: 0, confirm: false });
  const { version: first } = await change();
  const idsOf = async () => (await redis.admin.xrange(log, '-', '+')).map(([id]) => id);
  await until('the first event has gone', async () => {
    const { version } = await change();
    const oldest = (await idsOf())[0] ?? '';
    // At the moment of the change nothing older stood.
    expect(Number(version.split('-')[0]) - Number(oldest.split('-')[0])).toBeLessThanOrEqual(LOG_AGE_MS);
    return oldest !== first;
  });
  await until(
    'nobody changes anything, and the rest goes too',
    async () => (await redis.admin.exists(log)) === 0,
  );
  // What comes next is linked to what went before all the same.
  const head = await l2.head(0);
  await change();
  const [next = ''] = await l2.readLog(0, '0-0', 10);
  expect(JSON.parse(next)).toMatchObject({ prev: head.version, prev_event_id: head.eventId });
});

it('is set in the configuration, within bounds', () => {
  expect(resolveAgentConfig({}, {}).eventLogSeconds).toBe(3_600);
  expect(() => resolveAgentConfig({ eventLogSeconds: 59 }, {})).toThrow(/eventLogSeconds.*from 60 to 604800/);
});

/** The second column of the table in docs/security.md: kind of key → whether it ends by itself. */
function documented(): Map<string, boolean> {
  const text = readFileSync(new URL('../../docs/security.md', import.meta.url), 'utf8');
  const rows = [...text.matchAll(/^\| `ec:\{[^}]*\}:(\w+)[^`]*` \| [^|]* \| ([^|]*) \|$/gm)];
  return new Map(rows.map(([, kind = '', how = '']) => [kind, !how.includes('stays')]));
}

it('leaves nothing in Redis but what the documentation names, with an end where it names one', async () => {
  const cacheId = 'kept';
  const namespaces = [{ name: 'a', l2MemoryLimit: '1M', eventDriven: true }];
  const file = { redis: standalone(redis.port), cacheId, namespaces, eventLogSeconds: 60 };
  const agent = await startAgent({ file });
  onTestFinished(() => agent.stop());
  const { client } = agent;
  for (let i = 0; i < 30; i++) await client.put('a', `k${i}`, i, { tags: ['t'] });
  await client.getOrLoad('a', 'loaded', async () => 1);
  await client.invalidate('a', { tags: ['t'] }, { confirm: true });
  await client.invalidate('a', {}, { confirm: true });
  for (let i = 0; i < 30; i++) await client.put('a', `k${i}`, i);
  const seen = new Map<string, boolean>();
  for (const key of await redis.admin.keys(`ec:{${cacheId}*`)) {
    const kind = /\}:(\w+)/.exec(key)?.[1] ?? key;
    const ends = (await redis.admin.pttl(key)) > 0;
    expect([kind, seen.get(kind) ?? ends]).toEqual([kind, ends]);
    seen.set(kind, ends);
  }
  const said = documented();
  expect(said.size).toBeGreaterThan(8);
  for (const [kind, ends] of seen) expect([kind, said.get(kind)]).toEqual([kind, ends]);
  const log = (await redis.admin.keys(`ec:{${cacheId}*:log`))[0] ?? '';
  expect(await redis.admin.ttl(log)).toBeLessThanOrEqual(60);
});
