import { Redis } from 'ioredis';
import { expect, it, onTestFinished } from 'vitest';
import { FleetDirectory, KEEP_MS, MOST_AGENTS } from '../../agent/fleet/directory.ts';
import { fleetKeys } from '../../agent/l2/keys.ts';
import { defineScripts } from '../../agent/l2/scripts.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { SUMMARY } from '../support/agent-summary.ts';

const { summaries, seen } = fleetKeys('c');

async function setUp() {
  const server = await RedisServer.start();
  const client = new Redis(server.port, '127.0.0.1');
  defineScripts(client);
  onTestFinished(async () => {
    client.disconnect();
    await server.stop();
  });
  // Each of its own, as another agent's: what one has read it keeps for a second.
  const as = (agentId: string) =>
    new FleetDirectory({ next: () => client, cacheId: 'c', agentId, now: () => performance.now() });
  return { client, as };
}

it('agents find one another, and one that leaves in order is not missed', async () => {
  const { as } = await setUp();
  await as('a-1').report(SUMMARY);
  await as('b-1').report({ ...SUMMARY, node: 'b' });
  const members = await as('x').read();
  expect(members.map(({ id, node }) => `${id} ${node}`).sort()).toEqual(['a-1 a', 'b-1 b']);
  expect(members.every(({ ageMs }) => ageMs >= 0)).toBe(true);
  await as('a-1').leave();
  expect((await as('x').read()).map(({ id }) => id)).toEqual(['b-1']);
});

it('one that was silent for long is forgotten, and so is a fleet that nobody is left of', async () => {
  const { client, as } = await setUp();
  await as('old').report(SUMMARY);
  const [seconds] = await client.time();
  await client.zadd(seen, Number(seconds) * 1000 - KEEP_MS - 1_000, 'old');
  expect(await as('x').read()).toEqual([]);
  await as('new').report(SUMMARY);
  expect(await client.hkeys(summaries)).toEqual(['new']);
  for (const key of [summaries, seen]) expect(await client.pttl(key)).toBeGreaterThan(0);
});

it('there are never more than a thousand, and the oldest make room', async () => {
  const { client, as } = await setUp();
  const [seconds] = await client.time();
  const many = Array.from({ length: MOST_AGENTS + 50 }, (_, i) => `agent-${i}`);
  await client.hset(summaries, Object.fromEntries(many.map((id) => [id, JSON.stringify(SUMMARY)])));
  const scores = many.flatMap((id, i) => [Number(seconds) * 1000 - 60_000 + i, id]);
  await client.zadd(seen, ...scores);
  await as('newest').report(SUMMARY);
  expect(await client.hlen(summaries)).toBe(MOST_AGENTS);
  expect(await client.hget(summaries, 'agent-0')).toBeNull();
  const members = await as('x').read();
  expect(members).toHaveLength(MOST_AGENTS);
  expect(members[0]?.id).toBe('newest');
});

it('what is no summary is passed over, and more than is known of one is no harm', async () => {
  const { client, as } = await setUp();
  await as('good').report(SUMMARY);
  const [seconds] = await client.time();
  const others = {
    'no-json': '{"node":',
    'no-summary': '[1,2]',
    'too-much': JSON.stringify({ ...SUMMARY, entries: -1 }),
    newer: JSON.stringify({ ...SUMMARY, tomorrow: true }),
  };
  await client.hset(summaries, others);
  for (const id of Object.keys(others)) await client.zadd(seen, Number(seconds) * 1000, id);
  expect((await as('x').read()).map(({ id }) => id).sort()).toEqual(['good', 'newer']);
});
