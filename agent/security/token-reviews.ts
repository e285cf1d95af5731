import type { Logger } from 'pino';
import { AgentError, messageOf } from '../errors.ts';
import type { Identity } from './identity.ts';

/** What the API server says of a token: the user that it is of; undefined: it is of none. */
export type Review = (token: string) => Promise<ReviewedUser | undefined>;

export interface ReviewedUser {
  readonly username: string;
}

export interface TokenReviewsOptions {
  readonly review: Review;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  readonly log: Logger;
}

/** Undefined: refused. */
interface Known {
  readonly identity: Identity | undefined;
  readonly until: number;
  readonly renewAt: number;
}

/** As the API server itself remembers such answers. A ServiceAccount that is deleted may get in for as long. */
const YES_MS = 120_000;
/** In use, an answer is asked for anew while the old one still holds, so that no call waits for it. */
const RENEW_MS = 60_000;
const NO_MS = 10_000;
const MAX_KNOWN = 10_000;
/** Made-up tokens must not become load on the API server. */
const MAX_UNDER_WAY = 32;
const PER_SECOND = 50;
const BURST = 100;
const QUIET_MS = 10_000;
const MAX_TOKEN = 16 * 1024;
const JWT = /^[\w-]+\.([\w-]+)\.[\w-]+$/;
const SERVICE_ACCOUNT = /^system:serviceaccount:([a-z0-9-]{1,63}):([a-z0-9.-]{1,253})$/;

/** ServiceAccounts by their tokens, as the API server verifies them; answers are remembered for a while. */
export class TokenReviews {
  readonly counters = { yes: 0, no: 0, failed: 0, limited: 0 };
  readonly #options: TokenReviewsOptions;
  readonly #known = new Map<string, Known>();
  readonly #underWay = new Map<string, Promise<Known>>();
  #quietUntil = Number.NEGATIVE_INFINITY;
  #allowance = BURST;
  #allowanceAt = 0;

  constructor(options: TokenReviewsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#known.size;
  }

  /** @throws AgentError EC_UNAUTHENTICATED, EC_AUTH_UNAVAILABLE */
  identify(token: string, digest: Buffer): Identity | Promise<Identity> {
    if (token.length > MAX_TOKEN || !JWT.test(token)) throw refused();
    const name = digest.toString('base64');
    const known = this.#known.get(name);
    const now = this.#options.now();
    if (known === undefined || known.until <= now) return this.#asked(name, token).then(toIdentity);
    if (known.identity !== undefined && known.renewAt <= now)
      // What fails here is tried again by the next call, and at last by one that waits for it.
      this.#asked(name, token).catch(() => undefined);
    return toIdentity(known);
  }

  async #asked(name: string, token: string): Promise<Known> {
    const underWay = this.#underWay.get(name);
    if (underWay !== undefined) return underWay;
    if (this.#underWay.size >= MAX_UNDER_WAY || !this.#isAllowed()) {
      this.counters.limited += 1;
      throw new AgentError('EC_AUTH_UNAVAILABLE', 'too many tokens are waiting to be verified; try again');
    }
    const asked = this.#ask(name, token).finally(() => this.#underWay.delete(name));
    this.#underWay.set(name, asked);
    return asked;
  }

  async #ask(name: string, token: string): Promise<Known> {
    const { review } = this.#options;
    let user: ReviewedUser | undefined;
    try {
      user = await review(token);
    } catch (error) {
      this.counters.failed += 1;
      this.#warn(error);
      throw new AgentError(
        'EC_AUTH_UNAVAILABLE',
        'the token cannot be verified now: the Kubernetes API server does not answer as it should (see the agent’s log)',
        { cause: error },
      );
    }
    const known = this.#toKnown(user, token);
    this.counters[known.identity === undefined ? 'no' : 'yes'] += 1;
    this.#remember(name, known);
    return known;
  }

  /** While the API server is away every call of an unknown token fails: the log need not tell of each. */
  #warn(error: unknown): void {
    const { now, log } = this.#options;
    if (now() < this.#quietUntil) return;
    this.#quietUntil = now() + QUIET_MS;
    const { failed } = this.counters;
    log.warn({ error: messageOf(error), failed }, 'a ServiceAccount’s token could not be verified');
  }

  #toKnown(user: ReviewedUser | undefined, token: string): Known {
    const { now, wallClock } = this.#options;
    const [, namespace, account] = SERVICE_ACCOUNT.exec(user?.username ?? '') ?? [];
    if (namespace === undefined) return { identity: undefined, until: now() + NO_MS, renewAt: 0 };
    const leftMs = (endOf(token) ?? Number.POSITIVE_INFINITY) - wallClock();
    const until = now() + Math.max(0, Math.min(YES_MS, leftMs));
    const identity = { name: `serviceaccount:${namespace}/${account}`, expiresAt: until };
    return { identity, until, renewAt: now() + RENEW_MS };
  }

  #remember(name: string, known: Known): void {
    this.#known.delete(name);
    if (this.#known.size >= MAX_KNOWN) this.#forgetSome();
    this.#known.set(name, known);
  }

  /** What has ended, else what was learned first. */
  #forgetSome(): void {
    const now = this.#options.now();
    for (const [name, { until }] of this.#known) if (until <= now) this.#known.delete(name);
    const [oldest] = this.#known.keys();
    if (this.#known.size >= MAX_KNOWN && oldest !== undefined) this.#known.delete(oldest);
  }

  #isAllowed(): boolean {
    const now = this.#options.now();
    const gained = ((now - this.#allowanceAt) * PER_SECOND) / 1000;
    this.#allowance = Math.min(BURST, this.#allowance + gained);
    this.#allowanceAt = now;
    if (this.#allowance < 1) return false;
    this.#allowance -= 1;
    return true;
  }
}

function toIdentity({ identity }: Known): Identity {
  if (identity === undefined) throw refused();
  return identity;
}

function refused(): AgentError {
  return new AgentError('EC_UNAUTHENTICATED', 'the token is none that this agent takes');
}

/** When a token ends, in milliseconds since 1970, as it says of itself; the API server has verified that. */
function endOf(token: string): number | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(JWT.exec(token)?.[1] ?? '', 'base64url').toString('utf8'));
    const exp: unknown =
      typeof claims === 'object' && claims !== null ? Reflect.get(claims, 'exp') : undefined;
    return typeof exp === 'number' ? exp * 1000 : undefined;
  } catch {
    return undefined;
  }
}
