import { InvalidInputError } from '../../api/errors.ts';
import type { ExplainRequest, ExplainResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { messageOf } from '../errors.ts';
import type { Beacon } from '../fleet/beacon.ts';
import { GONE_MS } from '../fleet/beacon.ts';
import type { FleetDirectory, FleetMember } from '../fleet/directory.ts';
import { viewFleet } from '../fleet/view.ts';
import { collectStats, type StatsSources } from '../stats.ts';
import { UiError } from './reply.ts';

export interface UiDataOptions {
  readonly agentId: string;
  readonly sources: StatsSources;
  readonly beacon: Pick<Beacon, 'summary' | 'history'>;
  readonly directory: Pick<FleetDirectory, 'read'>;
  readonly explain: (request: ExplainRequest) => Promise<ExplainResponse>;
}

/** A whole log, as a rule. */
const LOG_EVENTS = 20_000;

/** What the page shows. Names of keys at most, never a value. */
export class UiData {
  readonly #options: UiDataOptions;

  constructor(options: UiDataOptions) {
    this.#options = options;
  }

  /** All agents of the cache. Where Redis cannot be asked, this one alone, and why. */
  async fleet() {
    const { agentId, sources, directory } = this.#options;
    const { cacheId, maxStalenessMs } = sources.config();
    const frame = { cacheId, maxStalenessMs, self: agentId, goneAfterMs: GONE_MS };
    try {
      return { ...frame, problem: '', agents: viewFleet(this.#withOwn(await directory.read())) };
    } catch (error) {
      return { ...frame, problem: messageOf(error), agents: viewFleet(this.#withOwn([])) };
    }
  }

  /** This agent: its namespaces, and how it went for the last quarter of an hour. */
  agent() {
    const { agentId, sources, beacon } = this.#options;
    const { namespaces, redis } = collectStats(sources);
    const now = sources.now();
    return {
      id: agentId,
      ...beacon.summary(),
      redis,
      namespaces,
      history: beacon.history.points().map(({ at, ...rates }) => ({ agoMs: Math.round(now - at), ...rates })),
    };
  }

  /**
   * What this agent, Redis and the log know of one key.
   * @throws UiError where it is no key; AgentError EC_UNKNOWN_NAMESPACE
   */
  async key(namespace: string, key: string): Promise<ExplainResponse> {
    const { explain } = this.#options;
    try {
      return await explain({ namespace, key, logEvents: LOG_EVENTS, tags: [], wantAgents: false });
    } catch (error) {
      if (error instanceof InvalidInputError) throw new UiError(400, error.message);
      throw error;
    }
  }

  /** Of itself an agent need not be told by Redis. */
  #withOwn(members: readonly FleetMember[]): FleetMember[] {
    const { agentId, beacon } = this.#options;
    return [...members.filter(({ id }) => id !== agentId), { ...beacon.summary(), id: agentId, ageMs: 0 }];
  }
}
