import type { KeyObject } from 'node:crypto';
import { Agent, request } from 'undici';
import { z } from 'zod';
import { RELOAD_PATH, SIGNATURE_HEADER, signReload } from '../../api/reload.ts';
import { authorityOf } from './endpoints.ts';
import { shownCertificateEnd } from './shown-certificate.ts';

export type PushResult =
  | { readonly kind: 'accepted'; readonly configHash: string }
  /** The agent cannot run by it: no use in trying again. */
  | { readonly kind: 'refused'; readonly problem: string }
  | { readonly kind: 'failed'; readonly problem: string };

/** What the operator asks of an agent. */
export interface AgentLink {
  push(address: string, body: string, signal: AbortSignal): Promise<PushResult>;
  stats(address: string, signal: AbortSignal): Promise<AgentStats>;
  /** When the certificate ends that the agent shows on its gRPC port. */
  certificateEnd(address: string, signal: AbortSignal): Promise<Date>;
  close(): Promise<void>;
}

export interface AgentLinkOptions {
  readonly privateKey: KeyObject;
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly timeoutMs?: number;
}

/** Page of an agent with its statistics. */
const STATUS_PATH = '/statusz';

/** What is read of them; agents write them as JSON from the message StatsResponse. */
const statsSchema = z.object({
  configHash: z.string().default(''),
  l1: z
    .object({ hits: z.number(), misses: z.number(), sizeShare: z.number().default(0) })
    .default({ hits: 0, misses: 0, sizeShare: 0 }),
  l2: z.object({ hits: z.number() }).default({ hits: 0 }),
  events: z.object({ propagationP99Ms: z.number() }).default({ propagationP99Ms: 0 }),
  redis: z
    .object({ connected: z.boolean(), memoryUsedMb: z.number() })
    .default({ connected: false, memoryUsedMb: 0 }),
});
export type AgentStats = z.infer<typeof statsSchema>;

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

  async stats(address: string, signal: AbortSignal): Promise<AgentStats> {
    const answer = await request(`http://${authorityOf(address, this.#options.httpPort)}${STATUS_PATH}`, {
      dispatcher: this.#dispatcher,
      signal: AbortSignal.any([signal, AbortSignal.timeout(this.#timeoutMs)]),
    });
    const text = await answer.body.text();
    if (answer.statusCode !== 200)
      throw new Error(`the agent answered ${answer.statusCode} for its statistics`);
    return statsSchema.parse(parseJson(text));
  }

  certificateEnd(address: string, signal: AbortSignal): Promise<Date> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(this.#timeoutMs)]);
    return shownCertificateEnd(address, this.#options.grpcPort, limit);
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
