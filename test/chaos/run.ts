import { setTimeout as delay } from 'node:timers/promises';
import { partitionOf } from '../../agent/l2/partition.ts';
import { compareVersions } from '../../agent/l2/version.ts';
import { loggedEventSchema } from '../../api/event.ts';
import { seededRandom, shuffled } from '../../hack/demo/random.ts';
import { until } from '../../hack/local/children.ts';
import { CONNECTION_FAULTS, FAULTS } from './faults.ts';
import { ChaosLoad, type LoadCounters, type LoadOptions } from './load.ts';
import { CHAOS_PARTITIONS, PUT_NAMESPACE, World, type WorldOptions } from './world.ts';

export interface ChaosOptions extends WorldOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly load?: LoadOptions;
  /** Names of faults; all where none are given. */
  readonly faults?: readonly string[];
  /** Names of faults that are left out where none are given. */
  readonly without?: readonly string[];
  readonly say?: (line: string) => void;
  /** End when this holds: for tests that wait for a violation, and would rather not wait longer. */
  readonly enough?: (violations: readonly string[]) => boolean;
}

export interface ChaosReport {
  readonly seed: number;
  readonly counters: LoadCounters;
  /** Reads judged against the history. */
  readonly checkedReads: number;
  readonly faultsTried: ReadonlyMap<string, { times: number; reads: number; violations: number }>;
  readonly violations: readonly string[];
  /** What the agents say of themselves at the end, summed. */
  readonly gapsRepaired: number;
  readonly partitionResets: number;
  readonly auditReads: number;
  readonly auditViolations: number;
}

/** Time between two faults, for the world to be whole again. */
const CALM_MS = 400;

const TOGETHER = 'two of them at once';
const TOGETHER_SHARE = 0.3;

/** Breaks the world in one way after another, or in two at once, in an order that the seed decides, while readers and writers go on. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const { seconds, seed, say = () => undefined } = options;
  const random = seededRandom(seed);
  const world = await World.start(options);
  const load = new ChaosLoad(world, random, options.load);
  const tried: Tried = new Map();
  const found = () => load.puts.violations.length + load.loads.violations.length;
  const judged = () => load.puts.reads + load.loads.reads;
  const texts = () => [...load.puts.violations, ...load.loads.violations].map(({ text }) => text);
  const isEnough = () => options.enough?.(texts()) ?? false;
  try {
    load.start();
    await delay(1_000);
    const endAt = performance.now() + seconds * 1000;
    const { without = [] } = options;
    const names = options.faults ?? Object.keys(FAULTS).filter((name) => !without.includes(name));
    let queue: string[] = [];
    while (performance.now() < endAt && !isEnough()) {
      if (queue.length === 0) queue = shuffled(names, random);
      const name = queue.shift() ?? '';
      const second = options.faults === undefined ? another(name, random) : undefined;
      const before = { reads: judged(), violations: found() };
      const context = { world, random, forget: () => load.forget() };
      await Promise.all([name, second].map((each) => FAULTS[each ?? '']?.(context)));
      await world.heal();
      await delay(CALM_MS);
      const title = second === undefined ? name : TOGETHER;
      const row = tried.get(title) ?? { times: 0, reads: 0, violations: 0 };
      const violations = found() - before.violations;
      tried.set(title, {
        times: row.times + 1,
        reads: row.reads + judged() - before.reads,
        violations: row.violations + violations,
      });
      const said = second === undefined ? name : `${name} + ${second}`;
      say(`${said}: ${judged() - before.reads} reads checked, ${violations} violations`);
    }
    await load.stop();
    await world.heal();
    const left = await checkEnd(world, load);
    return await report(seed, world, load, tried, left);
  } finally {
    await load.stop().catch(() => undefined);
    await world.stop();
  }
}

type Tried = Map<string, { times: number; reads: number; violations: number }>;

async function report(
  seed: number,
  world: World,
  load: ChaosLoad,
  tried: Tried,
  left: readonly string[],
): Promise<ChaosReport> {
  const stats = await Promise.all(world.agents.map(({ client }) => client.stats()));
  const sum = (read: (events: NonNullable<(typeof stats)[0]['events']>) => number) =>
    stats.reduce((total, { events }) => total + (events === undefined ? 0 : read(events)), 0);
  const auditViolations = stats.reduce((total, { audit }) => total + (audit?.violations ?? 0), 0);
  const found = [...load.puts.violations, ...load.loads.violations].map(({ text }) => text).concat(left);
  if (auditViolations > 0) found.push(`audit: the agents themselves found ${auditViolations} violations`);
  return {
    seed,
    auditReads: stats.reduce((total, { audit }) => total + (audit?.reads ?? 0), 0),
    auditViolations,
    counters: load.counters,
    checkedReads: load.puts.reads + load.loads.reads,
    faultsTried: tried,
    violations: found,
    gapsRepaired: sum((events) => events.gapsRepaired),
    partitionResets: sum((events) => events.partitionResets),
  };
}

/** Now and then, a second fault at the same time. */
function another(name: string, random: () => number): string | undefined {
  if (random() >= TOGETHER_SHARE) return undefined;
  const others = CONNECTION_FAULTS.filter((other) => other !== name);
  return others[Math.floor(random() * others.length)];
}

/** What must hold when all is quiet: agents agree with L2, nothing acknowledged is missing, nothing was logged twice. */
async function checkEnd(world: World, load: ChaosLoad): Promise<string[]> {
  const wrong: string[] = [];
  for (const [key, last] of load.puts.lastChanges()) {
    let versions: string[] = [];
    const look = async () => {
      const answers = await Promise.all(world.agents.map(({ client }) => client.get(PUT_NAMESPACE, key)));
      versions = answers.map((one) => (one.status === 'hit' ? one.version : one.status));
      return !versions.includes('degraded');
    };
    // An agent that doubts says so; it must come to a view of its own.
    await until(`every agent has a view of ${key}`, look).catch(() => undefined);
    const found = [...new Set(versions.filter((version) => version !== 'miss'))];
    const [version] = found;
    const differ = found.length > 1 || (found.length === 1 && versions.includes('miss'));
    // What Redis evicted is gone for those agents alone that do not hold it: then nothing came after what the others hold.
    if (differ && !(found.length === 1 && (await newestOf(world, key)) === version))
      wrong.push(`end: agents disagree on ${key}: ${versions.join(', ')}`);
    // A miss is what a queued put leaves that others had overtaken; an older version would be a lost change.
    const older = version !== undefined && compareVersions(version, last.version) < 0;
    if (older) wrong.push(`end: ${key} has ${version}, older than the acknowledged ${last.version}`);
  }
  return [...wrong, ...(await duplicates(world))];
}

/** Version of the last event that changed a key, by the log of its partition. */
async function newestOf(world: World, key: string): Promise<string | undefined> {
  const log = `ec:{chaos:${partitionOf(PUT_NAMESPACE, key, CHAOS_PARTITIONS)}}:log`;
  for (const { admin } of await world.cluster.masters()) {
    // Masters that do not have the partition say so.
    const newestFirst = await admin.xrevrange(log, '+', '-').catch(() => []);
    for (const [version, [, json = '']] of newestFirst) {
      const { affected_namespaces: namespaces, keys } = loggedEventSchema.parse(JSON.parse(json));
      if (namespaces.includes(PUT_NAMESPACE) && (keys.length === 0 || keys.includes(key))) return version;
    }
  }
  return undefined;
}

async function duplicates(world: World): Promise<string[]> {
  const wrong: string[] = [];
  for (const { admin } of await world.cluster.masters()) {
    for (const log of await admin.keys('ec:{chaos:*}:log')) {
      const entries = await admin.xrange(log, '-', '+').catch(() => []);
      const ids = entries.map(([, fields]) =>
        String(Reflect.get(Object(JSON.parse(fields[1] ?? '{}')), 'event_id')),
      );
      const twice = ids.filter((id, i) => ids.indexOf(id) !== i);
      if (twice.length > 0) wrong.push(`end: ${log} has events twice: ${twice.slice(0, 3).join(', ')}`);
    }
  }
  return wrong;
}
