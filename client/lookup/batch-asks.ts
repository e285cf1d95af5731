import { EdgeCacheService, type GetRequest } from '../../proto/gen/edgecache/v1/edgecache.ts';
import type { AgentPool } from '../agent-pool.ts';
import type { NearCache } from '../near/near-cache.ts';
import type { Asked } from './pending-lookup.ts';

const MAX_BATCH = 1024;

/** Many lookups that one caller makes at once: calls of their own, as large as an agent takes them. */
export class BatchAsks {
  readonly #pool: AgentPool;
  readonly #deadlineMs: number;

  constructor(pool: AgentPool, deadlineMs: number) {
    this.#pool = pool;
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
    const options = { split: false, wantTags: near !== undefined, refreshBelowMs: 0 };
    const replies = await Promise.all(
      batches.map((items, id) =>
        this.#pool.call(EdgeCacheService.batchGet, { id, items, ...options }, deadlineMs),
      ),
    );
    const answers = replies.flatMap(({ message, node, agent }) =>
      message.items.map((answer) => ({ answer, node, agent })),
    );
    if (near === undefined || ticket === undefined) return answers;
    requests.forEach(({ namespace, key }, i) => {
      const asked = answers[i];
      if (asked !== undefined) near.offer(namespace, key, asked.answer, asked.agent, ticket);
    });
    return answers;
  }
}
