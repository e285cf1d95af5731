import { randomBytes, randomUUID } from 'node:crypto';
import { bytes } from '../../client/codec.ts';
import type { EdgeCacheClient } from '../../client/edge-cache-client.ts';

/** All that a load writes begins with this. */
export const OWN_PREFIX = 'edgecache-bench/';

export interface OwnKeysOptions {
  readonly client: EdgeCacheClient;
  readonly namespace: string;
  readonly count: number;
  readonly valueBytes: number;
  /** What is not taken away, because this process was killed, ends by itself after so long. */
  readonly ttlMs: number;
}

/** Changes in flight while keys are written. */
const AT_ONCE = 32;
/** Keys that one invalidation may name. */
const KEYS_AT_ONCE = 1_000;

/** The keys of one load: nobody else's, written before it and taken away after it. */
export class OwnKeys {
  readonly prefix: string;
  readonly count: number;
  readonly #options: OwnKeysOptions;
  readonly #value: Buffer;
  #wasWritten = false;

  constructor(options: OwnKeysOptions) {
    this.#options = options;
    this.count = options.count;
    this.prefix = `${OWN_PREFIX}${randomUUID().slice(0, 8)}/`;
    // Random, so that compression does not make light of it.
    this.#value = randomBytes(options.valueBytes);
  }

  at(index: number): string {
    return `${this.prefix}${index}`;
  }

  /** Writes one of them, as a change. @throws EdgeCacheError */
  async write(index: number, client: EdgeCacheClient = this.#options.client): Promise<void> {
    const { namespace, ttlMs } = this.#options;
    await client.put(namespace, this.at(index), this.#value, { codec: bytes, ttlMs });
    this.#wasWritten = true;
  }

  /** @throws EdgeCacheError */
  async writeAll(signal: AbortSignal): Promise<void> {
    let next = 0;
    const writer = async () => {
      while (next < this.count && !signal.aborted) await this.write(next++);
    };
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, this.count) }, writer));
  }

  /** Takes them away, everywhere. @throws EdgeCacheError */
  async removeAll(): Promise<void> {
    const { client, namespace } = this.#options;
    if (!this.#wasWritten) return;
    for (let at = 0; at < this.count; at += KEYS_AT_ONCE) {
      const length = Math.min(KEYS_AT_ONCE, this.count - at);
      const keys = Array.from({ length }, (_, i) => this.at(at + i));
      await client.invalidate(namespace, { keys, reason: 'edgecache bench is over' });
    }
  }
}
