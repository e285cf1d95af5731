import { type ClientDuplexStream, type Metadata, type ServiceError, status } from '@grpc/grpc-js';
import {
  EdgeCacheService,
  type FollowRequest,
  type WatchResponse,
} from '../../proto/gen/edgecache/v1/edgecache.ts';
import { type AgentLink, identityOf } from '../agent-link.ts';
import type { NearInvalidation } from './near-store.ts';

export interface FollowerOptions {
  /** The agent that lookups go to now, if it can be reached. */
  readonly agent: () => AgentLink | undefined;
  readonly namespaces: readonly string[];
  readonly clientId: string;
  /** Longest lease to ask for, in milliseconds. */
  readonly leaseMs: number;
  /** How often a lease is asked for, in milliseconds. */
  readonly renewMs: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly random: () => number;
  readonly invalidated: (invalidation: NearInvalidation) => void;
  /** Drop everything: completeness was lost, or begins only now. */
  readonly reset: (reason: string) => void;
}

type Stream = ClientDuplexStream<FollowRequest, WatchResponse>;

const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 2_000;
/** An agent without this service is one of an older release; it will be replaced one day. */
const UNSERVED_MS = 30_000;
/** Renewals without an answer after which the agent is taken to hang. */
const MAX_UNANSWERED = 10;

/**
 * Follows the invalidations of one agent at a time, the one that lookups go to. While its lease holds, everything that was
 * invalidated before has been heard. A lease is counted from before it was asked for, so it ends before the agent's own,
 * however long anything took, and whoever was frozen meanwhile.
 */
export class Follower {
  readonly #options: FollowerOptions;
  readonly #asked = new Map<number, number>();
  #timer: NodeJS.Timeout | undefined;
  #stream: Stream | undefined;
  #link: AgentLink | undefined;
  #nonce = 0;
  /** Times that a lease was wanted since the agent last said anything. */
  #unanswered = 0;
  #failures = 0;
  #retryAt = 0;
  #freshUntil = 0;
  #agent = '';
  /** Whether the agent has said that it tells this stream of everything from now on. */
  #following = false;

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  /** Monotonic milliseconds until which what is held may be answered with. */
  get freshUntil(): number {
    return this.#freshUntil;
  }

  /** The process that is followed; only what it answers may be held. Empty: none. */
  get agent(): string {
    return this.#following ? this.#agent : '';
  }

  start(): void {
    this.#timer = setInterval(() => this.#tick(), this.#options.renewMs);
    this.#timer.unref();
    this.#tick();
  }

  /** Says that nothing is held any more, so that no change waits for this client. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    const stream = this.#stream;
    this.#lose('the client is closed');
    if (stream === undefined) return;
    stream.write({ kind: { $case: 'leave', value: {} } });
    stream.end();
  }

  /** Looks whether there is an agent to follow, or another one than before; asks the present one for a lease. */
  #tick(): void {
    const { agent, now } = this.#options;
    const link = agent();
    if (this.#stream !== undefined && link !== undefined && link !== this.#link) this.#leave('another agent');
    if (this.#stream !== undefined) this.#renew(this.#stream);
    else if (link !== undefined && now() >= this.#retryAt) this.#open(link);
  }

  /** To be called when a connection has just come to stand, so that nobody waits for the next tick. */
  wake(): void {
    if (this.#timer !== undefined && this.#stream === undefined) this.#tick();
  }

  #open(link: AgentLink): void {
    const { namespaces, clientId, leaseMs, now } = this.#options;
    const stream = link.stream(EdgeCacheService.follow);
    this.#stream = stream;
    this.#link = link;
    this.#unanswered = 0;
    this.#asked.clear();
    this.#asked.set(0, now());
    const isCurrent = () => this.#stream === stream;
    stream.on('metadata', (metadata: Metadata) => {
      if (isCurrent()) this.#agent = identityOf(metadata).agent;
    });
    stream.on('data', (response: WatchResponse) => {
      if (isCurrent()) this.#receive(stream, response);
    });
    stream.on('error', (error: ServiceError) => {
      if (isCurrent()) this.#failed(error.code === status.UNIMPLEMENTED ? UNSERVED_MS : 0, error.message);
    });
    stream.on('end', () => {
      if (isCurrent()) this.#failed(0, 'the agent ended the stream');
    });
    stream.write({
      kind: { $case: 'open', value: { namespaces: [...namespaces], clientId, leaseMs } },
    });
  }

  #renew(stream: Stream): void {
    this.#unanswered += 1;
    if (this.#unanswered > MAX_UNANSWERED) {
      stream.cancel();
      this.#failed(0, 'the agent does not answer');
      return;
    }
    if (!this.#following) return;
    this.#nonce += 1;
    this.#asked.set(this.#nonce, this.#options.now());
    stream.write({ kind: { $case: 'renew', value: { nonce: this.#nonce } } });
  }

  #receive(stream: Stream, { kind }: WatchResponse): void {
    this.#unanswered = 0;
    if (!this.#following) {
      // Only what is asked from now on is surely followed by what invalidates it.
      this.#following = true;
      this.#failures = 0;
      this.#options.reset('a new agent is followed');
    }
    switch (kind?.$case) {
      case 'invalidation':
        this.#options.invalidated(kind.value);
        return;
      case 'lease':
        this.#extend(kind.value.nonce, kind.value.leaseMs);
        return;
      case 'reset':
        this.#freshUntil = 0;
        this.#options.reset(kind.value.reason);
        return;
      case 'barrier':
        stream.write({ kind: { $case: 'ack', value: { sequence: kind.value.sequence } } });
        return;
      default:
        // A kind that this release does not know may be news of any sort.
        this.#freshUntil = 0;
        this.#options.reset('an unknown message');
    }
  }

  #extend(nonce: number, leaseMs: number): void {
    const askedAt = this.#asked.get(nonce);
    if (askedAt === undefined) return;
    // Answers come in order: what was asked before this one is answered too.
    for (const open of this.#asked.keys()) if (open <= nonce) this.#asked.delete(open);
    this.#freshUntil = Math.max(this.#freshUntil, askedAt + leaseMs);
  }

  #leave(reason: string): void {
    const stream = this.#stream;
    this.#lose(reason);
    stream?.write({ kind: { $case: 'leave', value: {} } });
    stream?.end();
  }

  #failed(waitMs: number, reason: string): void {
    const { now, random } = this.#options;
    this.#lose(reason);
    const backoff = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(this.#failures, 10));
    this.#failures += 1;
    this.#retryAt = now() + Math.max(waitMs, backoff * (0.5 + 0.5 * random()));
  }

  /** Nothing that is held may be answered with any more. */
  #lose(reason: string): void {
    this.#stream = undefined;
    this.#link = undefined;
    this.#following = false;
    this.#agent = '';
    this.#freshUntil = 0;
    this.#asked.clear();
    this.#options.reset(reason);
  }
}
