import type { Refusal } from '../../proto/gen/edgecache/v1/edgecache.ts';

/** Where an answer came from; the numbers are the contract's. */
export const SOURCE = { none: 0, l1: 1, l2: 2 } as const;

/** Answer to one lookup, in the shape of the contract, so that it is encoded as it is. */
export interface Answer {
  found: boolean;
  value: Buffer;
  version: string;
  ttlMs: number;
  source: 0 | 1 | 2;
  stale: boolean;
  degraded: boolean;
  leaseToken: string;
  retryAfterMs: number;
  absent: boolean;
  /** On a stream: why this one was not looked up. */
  refusal: Refusal | undefined;
  tags: string[];
}

/** Answers that are there, by their place, and a promise of the rest. */
export interface PartAnswers {
  /** A hole where memory has no answer. */
  readonly answers: (Answer | undefined)[];
  /** Places of the holes. */
  readonly missing: readonly number[];
  /** Brings the answers of the missing, in their order. Nothing is missing where it is not there. */
  readonly rest: Promise<readonly Answer[]> | undefined;
}

const NOTHING = Buffer.alloc(0);
/** Shared, because most answers have none: never to be changed. */
export const NO_TAGS: string[] = [];

export function miss(leaseToken: string, retryAfterMs: number): Answer {
  return { ...EMPTY, leaseToken, retryAfterMs };
}

const EMPTY: Answer = {
  found: false,
  value: NOTHING,
  version: '',
  ttlMs: 0,
  source: SOURCE.none,
  stale: false,
  degraded: false,
  leaseToken: '',
  retryAfterMs: 0,
  absent: false,
  refusal: undefined,
  tags: NO_TAGS,
};

/** Not answered from a complete view: the caller goes to the source of truth. */
export const DEGRADED: Readonly<Answer> = Object.freeze({ ...EMPTY, degraded: true });

/** Instead of an answer, where others of the same batch can be answered. */
export function refused(refusal: Refusal): Answer {
  return { ...EMPTY, refusal };
}
