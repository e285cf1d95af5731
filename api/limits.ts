/** Limits of the contract, in one place for agent, client and documentation. */
export const LIMITS = {
  keyBytes: 512,
  tagBytes: 256,
  tagsPerEntry: 32,
  batchItems: 1024,
  eventDataBytes: 64 * 1024,
  /** Largest value that any namespace may allow. */
  valueBytes: 16 * 1024 ** 2,
  /** Largest value that an event may carry. */
  pushValueBytes: 16 * 1024,
  /** Keys or tags that one invalidation may name. */
  scopeItems: 1024,
} as const;
