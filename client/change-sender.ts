import { setTimeout as delay } from 'node:timers/promises';
import type { MethodDefinition } from '@grpc/grpc-js';
import type { ChangeResponse } from '../proto/gen/edgecache/v1/edgecache.ts';
import type { AgentPool } from './agent-pool.ts';
import { AgentUnavailableError, RedisUnavailableError } from './errors.ts';
import { confirmMs, toChanged } from './messages.ts';
import type { NearInvalidation } from './near/near-store.ts';
import type { Changed, ConfirmOptions } from './options.ts';

/** What a change of this process' own concerns. */
export type Touched = readonly Omit<NearInvalidation, 'version'>[] | 'all';

export interface ChangeSenderOptions {
  readonly pool: AgentPool;
  readonly deadlineMs: number;
  /** Tries of a change that found no agent. */
  readonly tries: number;
  readonly random: () => number;
  /** A change has been made, or may have been. */
  readonly made: (touched: Touched) => void;
}

const RETRY_MIN_MS = 50;

/** Sends changes until an agent has them: the same event id has the effect of once. */
export class ChangeSender {
  readonly #options: ChangeSenderOptions;

  constructor(options: ChangeSenderOptions) {
    this.#options = options;
  }

  /** @throws EdgeCacheError */
  async send<Request>(
    method: MethodDefinition<Request, ChangeResponse>,
    request: Request,
    { confirm = false }: ConfirmOptions,
    touched: Touched,
  ): Promise<Changed> {
    const { pool, tries, random, made } = this.#options;
    const deadlineMs = this.#options.deadlineMs + (confirm === false ? 0 : confirmMs(confirm));
    for (let attempt = 1; ; attempt++) {
      try {
        return toChanged((await pool.call(method, request, deadlineMs, true)).message);
      } catch (error) {
        const passing = error instanceof AgentUnavailableError || error instanceof RedisUnavailableError;
        if (!passing || attempt >= tries) throw error;
        await delay(RETRY_MIN_MS * 2 ** attempt * (0.5 + random()));
      } finally {
        made(touched);
      }
    }
  }
}
