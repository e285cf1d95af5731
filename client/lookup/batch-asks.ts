import type { GetRequest } from '../../proto/gen/edgecache/v1/edgecache.ts';
import type { AgentPool } from '../agent-pool.ts';
import type { NearCache } from '../near/near-cache.ts';
import { batchGet } from './lookup-batch.ts';
import type { Lookups } from './lookups.ts';
import type { Asked } from './pending-lookup.ts';

const MAX_BATCH = 1024;

/** Many lookups that one caller makes at once: batches as large as an agent takes them, on the stream where there is one. */
export class BatchAsks {
  readonly #pool: AgentPool;
  readonly #lookups: Lookups | undefined;
  readonly #deadlineMs: number;

  constructor(pool: AgentPool, lookups: Lookups | undefined, deadlineMs: number) {
    this.#pool = pool;
    this.#lookups = lookups;
    this.#deadlineMs = deadlineMs;
  }

  /**
   * Answers in the order asked.
   * @param near holds what is found, where there is one.
   * @throws EdgeCacheError
   */
  async ask(
    requests: readonly GetRequest[],
    deadlineMs = this.#deadlineMs,
    near: NearCache | undefined = undefined,
  ): Promise<Asked[]> {
    const batches: GetRequest[][] = [];
    for (let i = 0; i < requests.length; i += MAX_BATCH) batches.push(requests.slice(i, i + MAX_BATCH));
    const ticket = near?.ticket();
    const wantTags = near !== undefined;
    const replies = await Promise.all(
      batches.map(
        (items) =>
          this.#lookups?.askTogether(items, deadlineMs) ?? batchGet(this.#pool, items, deadlineMs, wantTags),
      ),
    );
    const answers = replies.flat();
    if (near === undefined || ticket === undefined) return answers;
    requests.forEach(({ namespace, key }, i) => {
      const asked = answers[i];
      if (asked !== undefined) near.offer(namespace, key, asked.answer, asked.agent, ticket);
    });
    return answers;
  }
}
