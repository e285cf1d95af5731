import type { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import type { Agents } from '../agents.ts';
import { Load, type LoadOptions } from '../bench/load.ts';
import { OwnKeys } from '../bench/own-keys.ts';
import type { BenchResult, OperationRow } from '../bench/tally.ts';
import { type Command, type Context, EXIT, type Given, usageError } from '../command.ts';
import { AGENT_OPTIONS, durationOf } from '../find-agents.ts';
import { duration, percent, type Screen, short } from '../screen.ts';
import { wholeNumber } from '../whole-number.ts';

const DEFAULTS = {
  concurrency: 64,
  keys: 1_000,
  size: 512,
  changes: 1,
  skew: 1,
  durationMs: 10_000,
  warmUpMs: 1_000,
} as const;
/** Keys that a killed process leaves behind are gone after this, beyond the longest that it may have run. */
const TTL_MARGIN_MS = 60_000;
/** Ctrl-C is answered within this, whatever the agents do. */
const REMOVE_MS = 2_000;
const PROGRESS_MS = 1_000;

export const bench: Command = {
  name: 'bench',
  usage: 'NAMESPACE',
  summary: 'load on agents: lookups and changes of keys of its own, how fast, from where, and how many fail',
  details: `Writes --keys keys that begin with "edgecache-bench/", asks for them, and takes them away at the end; nobody else's are touched. Several agents are asked in turn. Without --rate each of --concurrency callers asks again as soon as it is answered; with it operations begin on time, and what had to wait counts as slow. Ctrl-C ends it early with what has been measured. Through a cluster's API server (no --address) its way is measured too: for figures that mean something run it in a pod, or name agents of this network. Exit code 1 if anything failed.`,
  words: [1, 1],
  options: {
    ...AGENT_OPTIONS,
    duration: {
      type: 'string',
      value: 'DURATION',
      help: `how long to measure (default ${duration(DEFAULTS.durationMs)})`,
    },
    'warm-up': {
      type: 'string',
      value: 'DURATION',
      help: `how long to ask before that (default ${duration(DEFAULTS.warmUpMs)})`,
    },
    concurrency: {
      type: 'string',
      value: 'COUNT',
      help: `operations in flight (default ${DEFAULTS.concurrency})`,
    },
    rate: {
      type: 'string',
      value: 'COUNT',
      help: 'operations begun a second (default: as many as are answered)',
    },
    changes: {
      type: 'string',
      value: 'PERCENT',
      help: `share of operations that write (default ${DEFAULTS.changes})`,
    },
    keys: { type: 'string', value: 'COUNT', help: `how many keys (default ${DEFAULTS.keys})` },
    size: { type: 'string', value: 'BYTES', help: `of each value (default ${DEFAULTS.size})` },
    skew: {
      type: 'string',
      value: 'NUMBER',
      help: `exponent of Zipf’s law for which keys are asked for; 0: all alike (default ${DEFAULTS.skew})`,
    },
    unary: { type: 'boolean', help: 'a call for each lookup, instead of batches on a stream' },
  },
  examples: [
    'edgecache bench gpu_avail --address 10.0.0.1:7480',
    'edgecache bench gpu_avail --rate 5000 --changes 5 --size 2048 --duration 1m --json | jq .lookups.p99Ms',
  ],
  run: async (context) => {
    const settings = settingsOf(context.given);
    const agents = await context.agents();
    const clients = agents.addresses.map((agent) => agents.measured(agent, !context.given.flag('unary')));
    const result = await measure(context, settings, agents, clients);
    const { screen } = context;
    if (result === undefined) {
      screen.note('interrupted while keys were written: nothing has been measured');
      return EXIT.interrupted;
    }
    if (screen.json)
      screen.printJson({
        ...settings,
        agents: clients.length,
        ...result,
        errors: Object.fromEntries(result.errors),
      });
    else show(screen, result, settings, clients.length);
    return result.errors.length === 0 ? EXIT.ok : EXIT.failed;
  },
};

type Settings = Pick<
  LoadOptions,
  'namespace' | 'concurrency' | 'perSecond' | 'changes' | 'skew' | 'warmUpMs' | 'durationMs'
> & {
  readonly keyCount: number;
  readonly valueBytes: number;
};

/** @throws CliError */
function settingsOf(given: Given): Settings {
  const [namespace = ''] = given.positionals;
  return {
    namespace,
    concurrency: wholeNumber(given, 'concurrency', 1, 10_000) ?? DEFAULTS.concurrency,
    perSecond: wholeNumber(given, 'rate', 1, 1_000_000),
    changes: numberOf(given, 'changes', 0, 100, DEFAULTS.changes) / 100,
    skew: numberOf(given, 'skew', 0, 5, DEFAULTS.skew),
    keyCount: wholeNumber(given, 'keys', 1, 1_000_000) ?? DEFAULTS.keys,
    valueBytes: wholeNumber(given, 'size', 0, 16 * 1024 ** 2) ?? DEFAULTS.size,
    warmUpMs: given.text('warm-up') === '0' ? 0 : (durationOf(given, 'warm-up') ?? DEFAULTS.warmUpMs),
    durationMs: durationOf(given, 'duration') ?? DEFAULTS.durationMs,
  };
}

/** @returns nothing where it was interrupted before there was anything to measure */
async function measure(
  { screen, signal, now }: Context,
  settings: Settings,
  agents: Agents,
  clients: readonly EdgeCacheClient[],
): Promise<BenchResult | undefined> {
  const { namespace, keyCount, valueBytes, durationMs, warmUpMs } = settings;
  const keys = new OwnKeys({
    client: agents.any(),
    namespace,
    count: keyCount,
    valueBytes,
    ttlMs: durationMs + warmUpMs + TTL_MARGIN_MS,
  });
  try {
    await keys.writeAll(signal);
    if (signal.aborted) return undefined;
    const load = new Load({ ...settings, clients, keys, now, random: Math.random });
    const progress =
      screen.isTerminal && !screen.json
        ? setInterval(() => tell(screen, load.soFar), PROGRESS_MS)
        : undefined;
    try {
      return await load.run(signal);
    } finally {
      clearInterval(progress);
    }
  } finally {
    await remove(screen, keys);
  }
}

function tell(screen: Screen, { seconds, lookups, l1HitRatio }: BenchResult): void {
  screen.note(
    `${seconds.toFixed(0)} s: ${short(lookups.perSecond)} lookups/s, p99 ${lookups.p99Ms.toFixed(2)} ms, ${percent(l1HitRatio)} from memory`,
  );
}

/** In time, also after Ctrl-C; what stays behind ends by its TTL. */
async function remove(screen: Screen, keys: OwnKeys): Promise<void> {
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(`not done within ${duration(REMOVE_MS)}`)), REMOVE_MS).unref();
  });
  try {
    await Promise.race([keys.removeAll(), late]);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    screen.note(`keys that begin with ${keys.prefix} could not be removed, and end by themselves: ${why}`);
  }
}

function show(screen: Screen, result: BenchResult, settings: Settings, agents: number): void {
  const { seconds, lookups, changes, found, l1HitRatio, hitRatio, errors } = result;
  const { concurrency, perSecond, keyCount, valueBytes } = settings;
  const how =
    perSecond === undefined
      ? `${concurrency} in flight`
      : `${perSecond} a second, at most ${concurrency} in flight`;
  screen.print(
    `${seconds.toFixed(1)} s, ${agents} ${agents === 1 ? 'agent' : 'agents'}, ${how}, ${keyCount} keys of ${valueBytes} bytes`,
  );
  screen.print();
  screen.table([
    ['OPERATION', 'COUNT', 'PER SECOND', 'P50', 'P90', 'P99', 'MAX', 'ERRORS'],
    rowOf(screen, 'lookup', lookups),
    rowOf(screen, 'change', changes),
  ]);
  screen.print();
  screen.print(
    `hit ratio: ${percent(l1HitRatio)} from memory, ${percent(hitRatio)} in all; ${found.miss} misses, ${found.degraded} degraded`,
  );
  for (const [message, count] of errors)
    screen.print(`${screen.style('red', 'error')} ${count} times: ${message}`);
  const reached = lookups.perSecond + changes.perSecond;
  if (perSecond !== undefined && reached < perSecond * 0.95)
    screen.note(
      `${short(reached)} of ${short(perSecond)} operations a second were reached: agents, or this process, could not keep up`,
    );
}

function rowOf(
  screen: Screen,
  name: string,
  { count, perSecond, p50Ms, p90Ms, p99Ms, maxMs, errors }: OperationRow,
): string[] {
  const ms = (value: number) => (count === 0 ? '-' : `${value.toFixed(2)} ms`);
  return [
    name,
    String(count),
    short(perSecond),
    ms(p50Ms),
    ms(p90Ms),
    ms(p99Ms),
    ms(maxMs),
    errors === 0 ? '0' : screen.style('red', String(errors)),
  ];
}

/** A number of an option, whole or not. @throws CliError */
function numberOf(given: Given, name: string, min: number, max: number, otherwise: number): number {
  const text = given.text(name);
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (text.trim() !== '' && value >= min && value <= max) return value;
  throw usageError(`--${name}: ${JSON.stringify(text)} must be a number from ${min} to ${max}`);
}
