import type { StatsResponse } from '../../client/edge-cache-client.ts';
import { table } from './report.ts';

/** What the live view shows at one moment. */
export interface Moment {
  readonly seconds: number;
  readonly phase: string;
  readonly stats: ReadonlyMap<string, StatsResponse | undefined>;
  readonly lookups: number;
  readonly bookings: number;
  readonly refused: number;
  readonly cancellations: number;
  readonly prices: number;
  readonly checked: number;
  readonly stale: number;
  readonly worstMs: number;
  readonly errors: number;
  readonly leases: ReadonlyMap<string, number>;
  readonly holders: string;
}

export interface View {
  show(moment: Moment): void;
  say(line: string): void;
}

/** Redraws in place on a terminal, prints a line a second elsewhere. */
export function createView(out: NodeJS.WriteStream): View {
  return out.isTTY ? new TerminalView(out) : new LineView(out);
}

class LineView implements View {
  readonly #out: NodeJS.WriteStream;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  say(line: string): void {
    this.#out.write(`${line}\n`);
  }

  show(moment: Moment): void {
    const agents = [...moment.stats].map(([node, stats]) => {
      if (stats === undefined) return `${node} away`;
      const { events, l1 } = stats;
      return `${node} L1 ${percent(l1?.hitRatio)} p99 ${(events?.propagationP99Ms ?? 0).toFixed(1)} ms`;
    });
    this.say(
      `${moment.phase} ${moment.seconds.toFixed(0).padStart(3)} s | ${moment.lookups} lookups, ${moment.bookings} booked, ${moment.stale} stale of ${moment.checked} checked | ${agents.join(' | ')}`,
    );
  }
}

class TerminalView implements View {
  readonly #out: NodeJS.WriteStream;
  #height = 0;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  say(line: string): void {
    this.#clear();
    this.#out.write(`${line}\n`);
  }

  show(moment: Moment): void {
    const lines = momentLines(moment).map((line) => line.slice(0, this.#out.columns));
    this.#clear();
    this.#out.write(`${lines.join('\n')}\n`);
    this.#height = lines.length;
  }

  #clear(): void {
    if (this.#height > 0) this.#out.write(`\u001b[${this.#height}A\u001b[J`);
    this.#height = 0;
  }
}

function momentLines(moment: Moment): string[] {
  const rows = [...moment.stats].map(([node, stats]) => agentRow(node, stats, moment.leases.get(node) ?? 0));
  const header = [
    'agent',
    'status',
    'L1 hits',
    'L2 hits',
    'entries',
    'events',
    'p50 ms',
    'p99 ms',
    'lease ms',
    'gaps',
    'resets',
  ];
  return [
    `${moment.phase}, ${moment.seconds.toFixed(0)} s`,
    ...table([header, ...rows]),
    `lookups ${moment.lookups}   bookings ${moment.bookings} (${moment.refused} refused)   cancellations ${moment.cancellations}   prices ${moment.prices}   errors ${moment.errors}`,
    `stale reads ${moment.stale} of ${moment.checked} checked; longest that a replaced value was still read: ${moment.worstMs.toFixed(1)} ms`,
    moment.holders,
  ];
}

function agentRow(node: string, stats: StatsResponse | undefined, leaseMs: number): string[] {
  if (stats === undefined) return [node, 'away'];
  const { l1, l2, events } = stats;
  return [
    node,
    stats.status,
    percent(l1?.hitRatio),
    percent(l2?.hitRatio),
    `${l1?.entries ?? 0}/${l1?.maxEntries ?? 0}`,
    String(events?.processed ?? 0),
    (events?.propagationP50Ms ?? 0).toFixed(2),
    (events?.propagationP99Ms ?? 0).toFixed(2),
    leaseMs.toFixed(0),
    String(events?.gapsRepaired ?? 0),
    String(events?.partitionResets ?? 0),
  ];
}

function percent(share: number | undefined): string {
  return `${((share ?? 0) * 100).toFixed(1)} %`;
}
