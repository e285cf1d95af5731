import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster } from 'ioredis';
import { L2, L2_DEFAULTS } from '../../agent/l2/l2.ts';
import { defineScripts } from '../../agent/l2/scripts.ts';
import type { CacheEvent } from '../../api/event.ts';
import { splitHostPort } from '../../api/redis.ts';
import type { World } from './world.ts';

const SENDERS = 200;

/** Logs and publishes so many events of a namespace as fast as Redis takes them, as a thousand other agents might. */
export async function flood(
  world: World,
  namespace: string,
  count: number,
  partitions: number,
): Promise<void> {
  const cluster = new Cluster(world.cluster.nodes.map(splitHostPort));
  cluster.on('error', () => undefined);
  defineScripts(cluster);
  const options = { ...L2_DEFAULTS, cacheId: 'chaos', partitions, fillLeaseMs: 5_000 };
  const l2 = new L2(() => cluster, options);
  let sent = 0;
  const send = async () => {
    while (sent < count) {
      sent += 1;
      const key = `flood-${sent}`;
      const eventId = randomUUID();
      await l2.change({
        partition: l2.partitionOf(namespace, key),
        eventId,
        body: eventBody(eventId, namespace, key),
        keys: [{ namespace, key }],
        tagMarkers: [],
        namespaceMarkers: [],
        minReplicas: 0,
        confirm: false,
      });
    }
  };
  try {
    await Promise.all(Array.from({ length: SENDERS }, send));
  } finally {
    cluster.disconnect();
  }
}

/** The event's JSON without its first brace: the script puts version and links before it. */
function eventBody(eventId: string, namespace: string, key: string): string {
  const event: CacheEvent = {
    event_id: eventId,
    event_type: 'manual_invalidation',
    resource_id: key,
    data: {},
    timestamp: Date.now() / 1000,
    source_node: 'flood',
    affected_namespaces: [namespace],
    keys: [key],
    tags: [],
  };
  return JSON.stringify(event).slice(1);
}

/** Takes entries and the leases of fills away, half of what there is each time, as Redis does where it may evict. */
export async function evict(world: World, random: () => number, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    for (const { admin } of await world.cluster.masters()) {
      const names = [...(await admin.keys('ec:{chaos:*}:e:*')), ...(await admin.keys('ec:{chaos:*}:l:*'))];
      // One by one: a command may name the keys of one slot only. One that moves away just now is left alone.
      const taken = names.filter(() => random() < 0.5);
      await Promise.all(taken.map((name) => admin.unlink(name).catch(() => 0)));
    }
    await delay(100);
  }
}
