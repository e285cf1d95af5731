import { setTimeout as delay } from 'node:timers/promises';
import { shiftClock, stallEventLoop } from './inspector.ts';
import { agentChannel, CHAOS_CACHE } from './names.ts';
import { evict, flood } from './redis-side.ts';
import type { World } from './world.ts';
import { BULK_NAMESPACE } from './world.ts';

export interface FaultContext {
  readonly world: World;
  readonly random: () => number;
  /** Redis has lost everything: what was acknowledged before is void. */
  readonly forget: () => void;
}

/** A named way to break the world for a while. Each leaves it broken; the runner heals. */
export type FaultRun = (context: FaultContext) => Promise<void>;

const pick = <T>(list: readonly T[], random: () => number): T => {
  const item = list[Math.floor(random() * list.length)];
  if (item === undefined) throw new RangeError('nothing to pick from');
  return item;
};
const between = (random: () => number, from: number, to: number) => from + random() * (to - from);

async function connectionFault(
  { world, random }: FaultContext,
  kind: 'events' | 'commands',
  fault: object,
  ms: readonly [number, number] = [500, 3_000],
) {
  const { name } = pick(world.agents, random);
  world.fault(kind, name, fault);
  await delay(between(random, ms[0], ms[1]));
  world.fault(kind, name, undefined);
}

/** Does something to one message in three of an agent, for a while. */
function messageFault(change: (message: Buffer, held: Buffer[]) => Buffer[]): FaultRun {
  return async (context) => {
    const held: Buffer[] = [];
    const message = (data: Buffer) =>
      context.random() < 0.33 ? change(data, held) : [...held.splice(0), data];
    await connectionFault(context, 'events', { message }, [1_000, 2_500]);
  };
}

export const FAULTS: Readonly<Record<string, FaultRun>> = {
  'agent killed': async ({ world, random }) => {
    pick(world.agents, random).process.signal('SIGKILL');
    await delay(1_500);
  },
  'agent frozen': async ({ world, random }) => {
    const { process } = pick(world.agents, random);
    process.signal('SIGSTOP');
    await delay(between(random, 300, 3_000));
    process.signal('SIGCONT');
    await delay(300);
  },
  'event loop stalled for 2 s': async ({ world, random }) => {
    const { process } = pick(world.agents, random);
    await stallEventLoop(process, 2_000);
    await delay(300);
  },
  'master killed, replica takes over': async ({ world, random }) => {
    const master = pick(await world.cluster.masters(), random);
    await world.cluster.failover(master);
    await delay(500);
    await master.start();
    await world.cluster.healthy();
  },
  'Redis restarted empty': async ({ world, forget }) => {
    // Replicas would give a master its data back: all of them lose it.
    for (const server of await world.cluster.masters()) await server.admin.flushall();
    forget();
    await delay(500);
  },
  'slots moved to another master': async ({ world, random }) => {
    const target = pick(await world.cluster.masters(), random);
    for (const slot of CHAOS_CACHE.slots.slice(0, 6)) await world.cluster.migrateSlot(slot, target);
    await delay(300);
  },
  'events cut': async ({ world, random }) => {
    const { name } = pick(world.agents, random);
    for (let i = 0; i < 5; i++) {
      world.cut('events', name);
      await delay(between(random, 50, 400));
    }
  },
  'commands cut': async ({ world, random }) => {
    const { name } = pick(world.agents, random);
    for (let i = 0; i < 5; i++) {
      world.cut('commands', name);
      await delay(between(random, 50, 400));
    }
  },
  'events delayed': (context) => connectionFault(context, 'events', { delayMs: 400 }),
  'commands delayed, and the heads with them': (context) =>
    connectionFault(context, 'commands', { delayMs: 300 }),
  'events blackholed': (context) => connectionFault(context, 'events', { blackhole: true }),
  'events blackholed for long': (context) =>
    connectionFault(context, 'events', { blackhole: true }, [4_000, 5_000]),
  'commands blackholed': (context) => connectionFault(context, 'commands', { blackhole: true }),
  'events throttled': (context) => connectionFault(context, 'events', { bytesPerSecond: 20_000 }),
  'commands throttled': (context) => connectionFault(context, 'commands', { bytesPerSecond: 100_000 }),
  'messages dropped': messageFault(() => []),
  'messages doubled': messageFault((message) => [message, message]),
  'messages reordered': messageFault((message, held) => {
    held.push(message);
    return [];
  }),
  'only the last message dropped': async ({ world, random }) => {
    const { name } = pick(world.agents, random);
    for (let i = 0; i < 5; i++) {
      let dropped = false;
      const message = (data: Buffer) => {
        if (dropped) return [data];
        dropped = true;
        return [];
      };
      world.fault('events', name, { message });
      await delay(300);
    }
    world.fault('events', name, undefined);
  },
  'a subscription lost while its connection stands': async ({ world, random }) => {
    const { name } = pick(world.agents, random);
    for (let p = 0; p < 16; p += 3)
      for (const proxy of world.proxies) proxy.unsubscribe(`events:${name}`, agentChannel(p));
    await delay(1_500);
  },
  'output buffer limit': async ({ world, random }) => {
    const limit = async (value: string) => {
      for (const { admin } of world.cluster.servers)
        await admin.config('SET', 'client-output-buffer-limit', value);
    };
    await limit('pubsub 16kb 8kb 1');
    await connectionFault(
      { world, random, forget: () => undefined },
      'events',
      { bytesPerSecond: 2_000 },
      [1_500, 2_500],
    );
    await limit('pubsub 32mb 8mb 60');
  },
  'flood of events': async ({ world, random }) => {
    const { client } = pick(world.agents, random);
    for (let wave = 0; wave < 20; wave++) {
      const flood = Array.from({ length: 100 }, (_, i) =>
        client.invalidate(BULK_NAMESPACE, { keys: [`f${wave}-${i}`] }),
      );
      await Promise.allSettled(flood);
    }
  },
  'flood of 100,000 events': async ({ world }) => {
    await flood(world, BULK_NAMESPACE, 100_000, CHAOS_CACHE.partitions);
  },
  'entries and leases evicted, fills under way': async ({ world, random }) => {
    await evict(world, random, 20);
  },
  'clock of an agent an hour ahead, then behind, then right': async ({ world, random }) => {
    const { process } = pick(world.agents, random);
    for (const hours of [1, -1, 0]) {
      await shiftClock(process, hours * 3_600_000);
      await delay(700);
    }
  },
  'log trimmed while an agent is away': async ({ world, random }) => {
    const { process } = pick(world.agents, random);
    process.signal('SIGSTOP');
    await delay(1_000);
    for (const server of await world.cluster.masters()) {
      const logs = await server.admin.keys('ec:{chaos:*}:log');
      for (const log of logs) await server.admin.xtrim(log, 'MAXLEN', 0).catch(() => undefined);
    }
    process.signal('SIGCONT');
    await delay(500);
  },
};

/** Those that break nothing but an agent's connections, and so may come on top of any other. */
export const CONNECTION_FAULTS: readonly string[] = [
  'events cut',
  'commands cut',
  'events delayed',
  'commands delayed, and the heads with them',
  'events blackholed',
  'commands blackholed',
  'events throttled',
  'commands throttled',
  'messages dropped',
  'messages doubled',
  'messages reordered',
];
