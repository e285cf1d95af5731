import { isDeepStrictEqual } from 'node:util';
import { within } from '../loading/patience.ts';
import type { Background } from './background.ts';

/** What is known of values, so that an answer can be told from the truth. */
export interface Comparison<T> {
  /**
   * The version that a value carries, such as a column that each update counts up. Numbers and bigints must grow with
   * each change: then an answer that is ahead of the source (which may be a lagging replica) is no stale one.
   * Default: values are compared as JSON; then one that changes and changes back within the grace is not noticed.
   */
  readonly versionOf?: (value: T) => number | bigint | string;
  /** When the value became the truth, in milliseconds since 1970, by whatever clock: for the age of stale answers. */
  readonly changedAt?: (value: T) => number;
}

/** What a cache answered; undefined: it had nothing to say. A value of undefined: it said that there is no such thing. */
export type Answer<T> = { readonly value: T | undefined } | undefined;

/** A cache that is judged, looked at without filling it. */
export type Look<T> = (key: string) => Promise<Answer<T>>;

/** What the source said, and when it had said it. */
interface Known<T> {
  readonly truth: T | undefined;
  readonly at: number;
}

/**
 * - `agreed`: it answered what the source says.
 * - `inFlight`: it did not at first, and after the grace it did, or had dropped the entry.
 * - `stale`: after the grace, in which the source did not change, it still answered something else.
 * - `ahead`: as stale, but with a newer version than the source.
 * - `moving`: the source changed within every grace, so nothing can be said.
 */
export type Verdict =
  | { readonly kind: 'agreed' | 'inFlight' | 'ahead' | 'moving' }
  /** How long the source had said something else, at least. */
  | { readonly kind: 'stale'; readonly ageMs: number };

export interface JudgeOptions<T> extends Comparison<T> {
  readonly source: (key: string) => Promise<T | undefined>;
  readonly background: Background;
  readonly graceMs: number;
  readonly deadlineMs: number;
  readonly delay: (ms: number) => Promise<void>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

/** A hot key may change within any grace; more tries than this only load the source. */
const TRIES = 3;

/** Says whether a cache's answer was stale, and never so of one that raced a change. */
export class Judge<T> {
  readonly #options: JudgeOptions<T>;

  constructor(options: JudgeOptions<T>) {
    this.#options = options;
  }

  /**
   * Judges what a cache has just answered.
   * @throws what source or cache throw, and Error after the deadline
   */
  async judge(key: string, given: T | undefined, look: Look<T>): Promise<Verdict> {
    const { background, delay, graceMs } = this.#options;
    let known = await background.step(() => this.#ask(key));
    if (this.#isSame(given, known.truth)) return { kind: 'agreed' };
    for (let attempt = 0; attempt < TRIES; attempt++) {
      // It may have been the truth when it was given. What counts is what the cache answers when what the source said has
      // had the time to get there.
      await delay(graceMs);
      const before = known;
      const next = await background.step(() => this.#lookAgain(key, look, before));
      if ('kind' in next) return next;
      known = next;
    }
    return { kind: 'moving' };
  }

  /** A verdict on what the cache answers now, or what the source says now, where it changed meanwhile. */
  async #lookAgain(key: string, look: Look<T>, before: Known<T>): Promise<Verdict | Known<T>> {
    const { deadlineMs, now } = this.#options;
    const lookedAt = now();
    const answer = await within(deadlineMs, look(key), late('the cache'));
    if (answer === undefined) return { kind: 'inFlight' };
    const { value } = answer;
    const after = await this.#ask(key);
    if (this.#isSame(value, after.truth)) return { kind: 'inFlight' };
    const isSteady = this.#isSame(before.truth, after.truth);
    // Versions grow: one that is older than what the source had said before was the truth at no time since.
    if (!isSteady && !this.#isOlder(value, before.truth)) return after;
    if (this.#isOlder(before.truth, value)) return { kind: 'ahead' };
    return { kind: 'stale', ageMs: this.#age(before, lookedAt) };
  }

  async #ask(key: string): Promise<Known<T>> {
    const { source, deadlineMs, now } = this.#options;
    const truth = await within(deadlineMs, source(key), late('the source of truth'));
    return { truth, at: now() };
  }

  /** For how long the source has said so: as the judge has seen, or as it says itself. */
  #age({ truth, at }: Known<T>, lookedAt: number): number {
    const { changedAt, now, wallClock } = this.#options;
    const seenMs = lookedAt - at;
    if (changedAt === undefined || truth === undefined) return seenMs;
    return Math.max(seenMs, wallClock() - (now() - lookedAt) - changedAt(truth));
  }

  #isSame(a: T | undefined, b: T | undefined): boolean {
    if (a === undefined || b === undefined) return a === b;
    const { versionOf } = this.#options;
    if (versionOf !== undefined) return versionOf(a) === versionOf(b);
    // A cache of JSON gives back text for a Date, and nothing for what was undefined: that is no difference.
    return isDeepStrictEqual(asJson(a), asJson(b));
  }

  /** Whether it is known to be; without ordered versions nothing is. */
  #isOlder(a: T | undefined, b: T | undefined): boolean {
    const { versionOf } = this.#options;
    if (versionOf === undefined || a === undefined || b === undefined) return false;
    const [older, newer] = [versionOf(a), versionOf(b)];
    return typeof older !== 'string' && typeof newer !== 'string' && older < newer;
  }
}

function asJson(value: unknown): unknown {
  const text = JSON.stringify(value);
  return text === undefined ? undefined : JSON.parse(text);
}

function late(who: string): () => Error {
  return () => new Error(`${who} did not answer in time`);
}
