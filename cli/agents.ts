import type { AccessOptions } from '../client/access.ts';
import { EdgeCacheClient, type StatsResponse } from '../client/edge-cache-client.ts';
import type { Forwards } from './kube/forwards.ts';

/** An agent that can be asked. */
export interface AgentAddress {
  /** What people know it by: an address, or a pod. */
  readonly name: string;
  /** `host:port` or `unix:/path`. */
  readonly address: string;
}

/** What an agent said, or why it did not. */
export type Asked<T> =
  | { readonly name: string; readonly value: T; readonly error?: undefined }
  | { readonly name: string; readonly error: Error; readonly value?: undefined };

export interface AgentsOptions {
  readonly addresses: readonly AgentAddress[];
  /** Milliseconds that a call may take. */
  readonly timeoutMs: number;
  /** How they are shown who asks. */
  readonly access: AccessOptions;
  readonly forwards?: Forwards;
}

/** The agents that a command speaks to. */
export class Agents {
  readonly addresses: readonly AgentAddress[];
  readonly timeoutMs: number;
  readonly access: AccessOptions;
  readonly #forwards: Forwards | undefined;
  readonly #clients = new Map<string, EdgeCacheClient>();

  constructor({ addresses, timeoutMs, access, forwards }: AgentsOptions) {
    this.addresses = addresses;
    this.timeoutMs = timeoutMs;
    this.access = access;
    this.#forwards = forwards;
  }

  /** A client of the first that answers. */
  any(): EdgeCacheClient {
    return this.#client(this.addresses.map(({ address }) => address));
  }

  /** Asks every agent, all at once. One that fails is part of the answer. */
  each<T>(ask: (client: EdgeCacheClient, agent: AgentAddress) => Promise<T>): Promise<Asked<T>[]> {
    return Promise.all(
      this.addresses.map(async (agent) => {
        const { name, address } = agent;
        try {
          return { name, value: await ask(this.#client([address]), agent) };
        } catch (error) {
          return { name, error: error instanceof Error ? error : new Error(String(error)) };
        }
      }),
    );
  }

  /** A client of one agent for a load: lookups travel together on a stream, or each for itself. Closed with the others. */
  measured(agent: AgentAddress, stream: boolean): EdgeCacheClient {
    return this.#client([agent.address], stream);
  }

  /** Asks one of them alone. @throws EdgeCacheError */
  async one<T>(agent: AgentAddress, ask: (client: EdgeCacheClient) => Promise<T>): Promise<T> {
    return ask(this.#client([agent.address]));
  }

  /** @param top how many of the hottest and of the largest keys each shall name */
  stats(top = 0): Promise<Asked<StatsResponse>[]> {
    return this.each((client) => client.stats({ top }));
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
    this.#forwards?.close();
  }

  #client(addresses: readonly string[], stream = false): EdgeCacheClient {
    const name = `${stream} ${addresses.join(',')}`;
    let client = this.#clients.get(name);
    if (client === undefined) {
      client = new EdgeCacheClient({
        addresses,
        connectTimeoutMs: Math.min(2_000, this.timeoutMs),
        deadlineMs: this.timeoutMs,
        // Each lookup for itself: what is asked by hand is asked once.
        lookups: { stream },
        ...this.access,
      });
      this.#clients.set(name, client);
    }
    return client;
  }
}
