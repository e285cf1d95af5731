import type { MissCause } from '../analytics/departures.ts';

/** The entries of one namespace in one partition; they all go when its epoch moves on. */
export interface Scope {
  epoch: number;
  /** Why it moved on last. */
  cause: MissCause;
}

/** How an entry came into memory: read from Redis, written or filled by this agent, or brought by a change. */
export type Origin = 'redis' | 'own' | 'event';

/** An entry in memory. Values are never handed out for writing: they are encoded straight into answers. */
export interface L1Entry {
  readonly version: string;
  readonly value: Buffer;
  readonly absent: boolean;
  readonly tags: readonly string[];
  readonly partition: number;
  /** Monotonic milliseconds after which L1 no longer answers with it. */
  freshUntil: number;
  /** Monotonic milliseconds at which it ends in L2. */
  readonly endsAt: number;
  readonly scope: Scope;
  readonly epoch: number;
  readonly weight: number;
  /** Monotonic milliseconds at which it came, whole: a small integer takes no object of its own. */
  readonly keptAt: number;
  readonly origin: Origin;
}

/** Beside key, value and tags: the entry's object, its slots in map and list, the Buffer's own head. */
const OVERHEAD_BYTES = 240;

/** What an entry counts for, in bytes. */
export function weigh(key: string, value: Buffer, tags: readonly string[]): number {
  let weight = OVERHEAD_BYTES + Buffer.byteLength(key) + value.length;
  for (const tag of tags) weight += Buffer.byteLength(tag);
  return weight;
}
