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
}

const NOTHING = Buffer.alloc(0);

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
};

/** Not answered from a complete view: the caller goes to the source of truth. */
export const DEGRADED: Readonly<Answer> = Object.freeze({ ...EMPTY, degraded: true });
