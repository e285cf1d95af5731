import type { Logger } from 'pino';
import type { AccessLogSettings } from '../../api/access-log.ts';

/** What a call touches. Values are never among it. */
export interface Touched {
  readonly namespaces: readonly string[];
  readonly keys: readonly string[];
  readonly tags?: readonly string[];
}

/** One call, or one batch of a stream. */
export interface Access {
  readonly method: string;
  readonly identity: string;
  readonly peer: string;
  /** OK, or the code of what refused it. */
  readonly outcome: string;
  readonly ms: number;
  readonly touched: () => Touched;
}

export interface AccessLogOptions {
  readonly settings: AccessLogSettings;
  readonly log: Logger;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly random: () => number;
}

const CHANGES: ReadonlySet<string> = new Set(['Put', 'Invalidate', 'Publish', 'Fill']);
/** A line names so many keys, tags and namespaces, and counts the rest. */
const MAX_NAMED = 10;
const WINDOW_MS = 1_000;

/** Writes down who did what, as far as it is drawn, and never more lines than a disk bears. */
export class AccessLog {
  written = 0;
  dropped = 0;
  readonly #options: AccessLogOptions;
  readonly #log: Logger;
  #windowEnds = Number.NEGATIVE_INFINITY;
  #left = 0;

  constructor(options: AccessLogOptions) {
    this.#options = options;
    // Whatever the level of the rest: who switches it on wants to see it.
    this.#log = options.log.child({ log: 'access' }, { level: 'info' });
  }

  note(access: Access): void {
    const rate = this.#rateOf(access);
    if (rate <= 0 || (rate < 1 && this.#options.random() >= rate)) return;
    if (!this.#hasRoom()) {
      this.dropped += 1;
      return;
    }
    this.written += 1;
    const { method, identity, peer, outcome, ms, touched } = access;
    const { namespaces, keys, tags = [] } = touched();
    this.#log.info(
      {
        method,
        identity,
        peer,
        outcome,
        ms: Math.round(ms * 1000) / 1000,
        namespaces: named(new Set(namespaces)),
        ...some('key', keys),
        ...some('tag', tags),
        ...(rate < 1 ? { sampleRate: rate } : {}),
      },
      'access',
    );
  }

  #rateOf({ method, outcome }: Access): number {
    const { sampleRate, changeSampleRate, refusalSampleRate } = this.#options.settings;
    if (outcome !== 'OK') return refusalSampleRate;
    return CHANGES.has(method) ? changeSampleRate : sampleRate;
  }

  #hasRoom(): boolean {
    const at = this.#options.now();
    if (at >= this.#windowEnds) {
      this.#windowEnds = at + WINDOW_MS;
      this.#left = this.#options.settings.maxPerSecond;
    }
    if (this.#left <= 0) return false;
    this.#left -= 1;
    return true;
  }
}

function some(what: 'key' | 'tag', names: readonly string[]): Record<string, unknown> {
  if (names.length === 0) return {};
  const more = names.length - MAX_NAMED;
  return {
    [`${what}s`]: named(names),
    ...(more > 0 ? { [`more${what === 'key' ? 'Keys' : 'Tags'}`]: more } : {}),
  };
}

/** Longer than any valid name is what only a refused request carries. */
const MAX_NAME = 512;

function named(names: Iterable<string>): string[] {
  const few: string[] = [];
  for (const name of names) {
    if (few.length >= MAX_NAMED) break;
    few.push(name.length > MAX_NAME ? `${name.slice(0, MAX_NAME)}…` : name);
  }
  return few;
}
