import { AgentError } from '../errors.ts';

export interface RateLimiterOptions {
  readonly perSecond: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Identities that are told apart; the rest share one budget. */
  readonly maxIdentities?: number;
}

interface Bucket {
  tokens: number;
  filledAt: number;
}

const MAX_IDENTITIES = 4_096;
/** Looking through all buckets for those that may go is not done for every newcomer. */
const FORGET_EVERY_MS = 1_000;

/** A caller asks for more than its share. */
export class RateLimitedError extends AgentError {
  readonly retryAfterMs: number;

  constructor(identity: string, perSecond: number, retryAfterMs: number) {
    super(
      'EC_RATE_LIMITED',
      `${identity} has asked for more than ${perSecond} items a second (security.limits.requestsPerSecond); try again in ${retryAfterMs} ms, or raise the limit`,
    );
    this.name = 'RateLimitedError';
    this.retryAfterMs = retryAfterMs;
  }
}

/**
 * A token bucket for each identity, a second's worth deep. What is admitted may overdraw it, so that a batch which is larger
 * than the limit waits for its time instead of never being let through.
 */
export class RateLimiter {
  /** Items that were not admitted. */
  refused = 0;
  readonly #options: RateLimiterOptions;
  readonly #buckets = new Map<string, Bucket>();
  readonly #others: Bucket;
  #forgotAt = Number.NEGATIVE_INFINITY;

  constructor(options: RateLimiterOptions) {
    this.#options = options;
    this.#others = { tokens: options.perSecond, filledAt: options.now() };
  }

  get identities(): number {
    return this.#buckets.size;
  }

  /** @throws RateLimitedError */
  admit(identity: string, items: number): void {
    const { perSecond, now } = this.#options;
    const at = now();
    const bucket = this.#bucketOf(identity, at);
    bucket.tokens = this.#tokens(bucket, at);
    bucket.filledAt = at;
    if (bucket.tokens >= 1) {
      bucket.tokens -= items;
      return;
    }
    this.refused += items;
    throw new RateLimitedError(identity, perSecond, Math.ceil(((1 - bucket.tokens) / perSecond) * 1000));
  }

  #tokens({ tokens, filledAt }: Bucket, at: number): number {
    const { perSecond } = this.#options;
    return Math.min(perSecond, tokens + ((at - filledAt) / 1000) * perSecond);
  }

  #bucketOf(identity: string, at: number): Bucket {
    const known = this.#buckets.get(identity);
    if (known !== undefined) return known;
    const { perSecond, maxIdentities = MAX_IDENTITIES } = this.#options;
    if (this.#buckets.size >= maxIdentities) this.#forgetFull(at);
    if (this.#buckets.size >= maxIdentities) return this.#others;
    const bucket = { tokens: perSecond, filledAt: at };
    this.#buckets.set(identity, bucket);
    return bucket;
  }

  /** A bucket that is full again says nothing that a new one would not. */
  #forgetFull(at: number): void {
    if (at - this.#forgotAt < FORGET_EVERY_MS) return;
    this.#forgotAt = at;
    for (const [identity, bucket] of this.#buckets) {
      if (this.#tokens(bucket, at) >= this.#options.perSecond) this.#buckets.delete(identity);
    }
  }
}
