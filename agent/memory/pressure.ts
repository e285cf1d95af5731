import type { MemoryUse } from './memory-sources.ts';

export interface PressureOptions {
  readonly sources: () => readonly MemoryUse[];
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Share of its limits that L1 uses: of entries or of bytes, whichever is more. */
  readonly fill: () => number;
  /** Told when the share of the configured size changes, 0 to 1, and why. */
  readonly resize: (share: number, fullest: MemoryUse) => void;
  /** Told once when L1 is as small as it gets and memory is still short. */
  readonly exhausted: (fullest: MemoryUse) => void;
}

/** Above it L1 gives. The kernel kills at 1; one large batch of values must still have room. */
const HIGH = 0.85;
/** Below it L1 grows back. Far from HIGH, because what is freed is given back late, and what grows back fills. */
const LOW = 0.7;
const SHRINK_BY = 0.75;
const GROW_BY = 0.1;
/** Below this L1 is of little use, and what is short is not L1's. */
const LEAST = 0.1;
/** What a step frees shows after the next collections only. */
const SHRINK_EVERY_MS = 5_000;
const GROW_EVERY_MS = 30_000;

/**
 * Makes L1 smaller, in steps, before memory runs out, and larger again when there is room: an agent that the kernel
 * kills takes all of its memory with it.
 */
export class Pressure {
  /** Steps down, since the start. */
  steps = 0;
  #share = 1;
  #steppedAt = Number.NEGATIVE_INFINITY;
  /** Since when there is room; undefined: there is none. */
  #roomSince: number | undefined;
  #said = false;
  readonly #options: PressureOptions;

  constructor(options: PressureOptions) {
    this.#options = options;
  }

  /** Share of its configured size that L1 has. */
  get share(): number {
    return this.#share;
  }

  /** Looks once; to be called every second or so. */
  look(): void {
    const { sources, now } = this.#options;
    const fullest = sources().reduce<MemoryUse | undefined>(
      (worst, use) => (worst === undefined || ratioOf(use) > ratioOf(worst) ? use : worst),
      undefined,
    );
    if (fullest === undefined) return;
    const time = now();
    const ratio = ratioOf(fullest);
    if (ratio > LOW) this.#roomSince = undefined;
    if (ratio >= HIGH) this.#shrink(time, fullest);
    else if (ratio <= LOW) this.#grow(time, fullest);
  }

  #shrink(time: number, fullest: MemoryUse): void {
    if (time - this.#steppedAt < SHRINK_EVERY_MS) return;
    if (this.#share <= LEAST) {
      if (!this.#said) this.#options.exhausted(fullest);
      this.#said = true;
      return;
    }
    this.#steppedAt = time;
    // Of what is held: limits that are far above it would have to fall for long before anything was freed.
    const held = Math.min(1, this.#options.fill()) * this.#share;
    this.steps += 1;
    this.#set(Math.max(LEAST, Math.min(this.#share, held) * SHRINK_BY), fullest);
  }

  #grow(time: number, fullest: MemoryUse): void {
    this.#said = false;
    if (this.#share === 1) return;
    this.#roomSince ??= time;
    if (time - Math.max(this.#roomSince, this.#steppedAt) < GROW_EVERY_MS) return;
    this.#steppedAt = time;
    this.#set(Math.min(1, this.#share + GROW_BY), fullest);
  }

  #set(share: number, fullest: MemoryUse): void {
    this.#share = share;
    this.#options.resize(share, fullest);
  }
}

export function ratioOf({ usedBytes, limitBytes }: MemoryUse): number {
  return usedBytes / limitBytes;
}
