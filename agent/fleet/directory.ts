import type { Cluster, Redis } from 'ioredis';
import { fromRedis } from '../errors.ts';
import { fleetKeys } from '../l2/keys.ts';
import { type AgentSummary, summarySchema } from './summary.ts';

/** An agent as it last told of itself. */
export interface FleetMember extends AgentSummary {
  readonly id: string;
  /** Since it did, by Redis' clock. */
  readonly ageMs: number;
}

export interface DirectoryOptions {
  /** Gives the connection for the next command. */
  readonly next: () => Redis | Cluster;
  readonly cacheId: string;
  readonly agentId: string;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** Most agents that are kept and read: half a megabyte of summaries. */
export const MOST_AGENTS = 1_000;
/** How long one that fell silent is remembered, so that people see that it is gone. */
export const KEEP_MS = 900_000;
/** However many look at a page: one reading of Redis serves them all for so long. */
const READ_EVERY_MS = 1_000;

/** Where the agents of a cache tell of themselves, and read of one another: in Redis, so that none has to reach another. */
export class FleetDirectory {
  readonly #options: DirectoryOptions;
  readonly #keys: readonly [string, string];
  #reading: { readonly at: number; readonly members: Promise<FleetMember[]> } | undefined;

  constructor(options: DirectoryOptions) {
    this.#options = options;
    const { summaries, seen } = fleetKeys(options.cacheId);
    this.#keys = [summaries, seen];
  }

  /** @throws RedisUnavailableError, RedisRefusedError */
  async report(summary: AgentSummary): Promise<void> {
    await this.#tell(JSON.stringify(summary));
  }

  /** This agent ends, in order: it is not missed. @throws RedisUnavailableError, RedisRefusedError */
  async leave(): Promise<void> {
    await this.#tell('');
  }

  /** Those heard of last come first. As of a second ago at most. @throws RedisUnavailableError, RedisRefusedError */
  read(): Promise<FleetMember[]> {
    const now = this.#options.now();
    if (this.#reading === undefined || now - this.#reading.at > READ_EVERY_MS) {
      const members = this.#read();
      this.#reading = { at: now, members };
      // The next one tries anew.
      members.catch(() => {
        this.#reading = undefined;
      });
    }
    return this.#reading.members;
  }

  async #read(): Promise<FleetMember[]> {
    const reply = await guard(
      this.#options.next().ecFleetRead(this.#keys.length, ...this.#keys, MOST_AGENTS, KEEP_MS),
    );
    const members: FleetMember[] = [];
    if (!Array.isArray(reply)) return members;
    for (let i = 0; i + 2 < reply.length; i += 3) {
      const summary = parse(String(reply[i + 2]));
      if (summary !== undefined)
        members.push({ ...summary, id: String(reply[i]), ageMs: Math.max(0, Number(reply[i + 1])) });
    }
    return members;
  }

  async #tell(summary: string): Promise<void> {
    const { next, agentId } = this.#options;
    await guard(
      next().ecFleetReport(this.#keys.length, ...this.#keys, agentId, summary, KEEP_MS, MOST_AGENTS),
    );
  }
}

/** Nothing for what is no summary, such as one of a version that says less. */
function parse(text: string): AgentSummary | undefined {
  try {
    return summarySchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

async function guard<T>(reply: Promise<T>): Promise<T> {
  try {
    return await reply;
  } catch (error) {
    throw fromRedis(error);
  }
}
