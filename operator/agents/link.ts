import type { KeyObject } from 'node:crypto';
import { credentials, Metadata, status } from '@grpc/grpc-js';
import { Agent, request } from 'undici';
import { z } from 'zod';
import { RELOAD_PATH, SIGNATURE_HEADER, signReload } from '../../api/reload.ts';
import { EdgeCacheClient, type StatsResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { authorityOf } from './endpoints.ts';

export type PushResult =
  | { readonly kind: 'accepted'; readonly configHash: string }
  /** The agent cannot run by it: no use in trying again. */
  | { readonly kind: 'refused'; readonly problem: string }
  | { readonly kind: 'failed'; readonly problem: string };

/** What the operator asks of an agent. */
export interface AgentLink {
  push(address: string, body: string, signal: AbortSignal): Promise<PushResult>;
  stats(address: string, signal: AbortSignal): Promise<StatsResponse>;
  close(): Promise<void>;
}

export interface AgentLinkOptions {
  readonly privateKey: KeyObject;
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly timeoutMs?: number;
}

const reloadAnswer = z.object({ configHash: z.string() });
const reloadProblem = z.object({ error: z.string() });

/** Agents over the pod network. Connections are not kept: the operator speaks to each agent rarely. */
export class NetworkAgentLink implements AgentLink {
  readonly #options: AgentLinkOptions;
  readonly #timeoutMs: number;
  readonly #dispatcher: Agent;

  constructor(options: AgentLinkOptions) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? 1_000;
    this.#dispatcher = new Agent({
      connect: { timeout: this.#timeoutMs },
      keepAliveTimeout: 1_000,
      keepAliveMaxTimeout: 1_000,
    });
  }

  async push(address: string, body: string, signal: AbortSignal): Promise<PushResult> {
    try {
      const answer = await request(`http://${authorityOf(address, this.#options.httpPort)}${RELOAD_PATH}`, {
        method: 'POST',
        dispatcher: this.#dispatcher,
        headers: {
          'content-type': 'application/json',
          [SIGNATURE_HEADER]: signReload(this.#options.privateKey, body),
        },
        body,
        signal: AbortSignal.any([signal, AbortSignal.timeout(this.#timeoutMs)]),
      });
      return toResult(answer.statusCode, await answer.body.text());
    } catch (error) {
      return { kind: 'failed', problem: error instanceof Error ? error.message : String(error) };
    }
  }

  stats(address: string, signal: AbortSignal): Promise<StatsResponse> {
    const client = new EdgeCacheClient(
      authorityOf(address, this.#options.grpcPort),
      credentials.createInsecure(),
      { 'grpc.use_local_subchannel_pool': 1, 'grpc.enable_retries': 0 },
    );
    return new Promise<StatsResponse>((resolve, reject) => {
      const call = client.stats(
        { top: 0 },
        new Metadata(),
        { deadline: Date.now() + this.#timeoutMs },
        (error, response) => {
          signal.removeEventListener('abort', cancel);
          if (error === null) resolve(response);
          else reject(new Error(`${status[error.code]}: ${error.details}`));
        },
      );
      const cancel = () => call.cancel();
      signal.addEventListener('abort', cancel, { once: true });
    }).finally(() => client.close());
  }

  async close(): Promise<void> {
    await this.#dispatcher.destroy();
  }
}

function toResult(statusCode: number, text: string): PushResult {
  if (statusCode === 200) {
    const answer = reloadAnswer.safeParse(parseJson(text));
    if (answer.success) return { kind: 'accepted', configHash: answer.data.configHash };
    return { kind: 'failed', problem: 'the agent answered 200 without a configHash' };
  }
  const problem = reloadProblem.safeParse(parseJson(text));
  const words = problem.success ? problem.data.error : `the agent answered ${statusCode}`;
  return { kind: statusCode === 422 ? 'refused' : 'failed', problem: words };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
