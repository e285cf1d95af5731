import type { AgentConfigFile } from '../manifests/agent-file.ts';
import type { AgentEndpoint } from './endpoints.ts';
import { type AgentSample, type FleetSummary, summarizeStats } from './fleet-summary.ts';

/** One agent and what is known of it. */
export interface TrackedAgent {
  endpoint: AgentEndpoint;
  /** Somebody is handing configuration to it. */
  isBusy: boolean;
  confirmedHash: string | undefined;
  refusedHash: string | undefined;
  problem: string | undefined;
  sample: AgentSample | undefined;
  /** Rounds of statistics in a row that it did not answer. */
  silentRounds: number;
}

/** After so many rounds without an answer an agent is asked only every so many rounds. */
const PATIENCE_ROUNDS = 3;

/** The agents of one tier, from all slices of its Service, and the configuration that they should have. */
export class TrackedTier {
  readonly key: string;
  readonly #slices = new Map<string, readonly AgentEndpoint[]>();
  readonly #agents = new Map<string, TrackedAgent>();
  #file: AgentConfigFile | undefined;
  #changed = new AbortController();
  #round = 0;
  #cursor = 0;

  constructor(key: string) {
    this.key = key;
  }

  get file(): AgentConfigFile | undefined {
    return this.#file;
  }

  get isEmpty(): boolean {
    return this.#slices.size === 0;
  }

  agents(): TrackedAgent[] {
    return [...this.#agents.values()];
  }

  /** Aborts when there is a new configuration, or other agents: whoever waits should look again. */
  get changed(): AbortSignal {
    return this.#changed.signal;
  }

  setConfig(file: AgentConfigFile | undefined): void {
    if (file?.hash === this.#file?.hash) return;
    this.#file = file;
    this.#wake();
  }

  needsPush(agent: TrackedAgent): boolean {
    if (this.#file === undefined || this.#agents.get(agent.endpoint.id) !== agent) return false;
    return agent.confirmedHash !== this.#file.hash && agent.refusedHash !== this.#file.hash;
  }

  /** Takes over a slice; true where agents came or went. */
  setSlice(name: string, endpoints: readonly AgentEndpoint[]): boolean {
    if (endpoints.length === 0) this.#slices.delete(name);
    else this.#slices.set(name, endpoints);
    const current = new Map<string, AgentEndpoint>();
    for (const slice of this.#slices.values())
      for (const endpoint of slice) current.set(endpoint.id, endpoint);
    const before = this.#agents.size;
    let added = 0;
    for (const id of this.#agents.keys()) if (!current.has(id)) this.#agents.delete(id);
    const removed = before - this.#agents.size;
    for (const [id, endpoint] of current) added += this.#track(id, endpoint);
    if (removed > 0) this.#wake();
    return added + removed > 0;
  }

  #track(id: string, endpoint: AgentEndpoint): number {
    const known = this.#agents.get(id);
    if (known !== undefined) {
      known.endpoint = endpoint;
      return 0;
    }
    this.#agents.set(id, {
      endpoint,
      isBusy: false,
      confirmedHash: undefined,
      refusedHash: undefined,
      problem: undefined,
      sample: undefined,
      silentRounds: 0,
    });
    return 1;
  }

  /** The next agents to ask for statistics, going round. */
  nextToAsk(limit: number): TrackedAgent[] {
    this.#round += 1;
    const all = this.agents().filter(
      (agent) => agent.silentRounds < PATIENCE_ROUNDS || this.#round % (PATIENCE_ROUNDS * 2) === 0,
    );
    if (all.length <= limit) return all;
    const start = this.#cursor % all.length;
    this.#cursor = start + limit;
    return [...all.slice(start), ...all.slice(0, start)].slice(0, limit);
  }

  summary(oldestSampleAt: number): FleetSummary {
    const agents = this.agents();
    const sampled = agents.flatMap(({ sample, endpoint }) =>
      sample && sample.at >= oldestSampleAt ? [{ sample, nodeName: endpoint.nodeName }] : [],
    );
    const samples = sampled.map(({ sample }) => sample);
    const ends = samples.flatMap(({ certificateEndsAt }) => certificateEndsAt ?? []);
    const short = sampled
      .filter(({ sample }) => sample.l1SizeShare < 1)
      .sort((a, b) => a.sample.l1SizeShare - b.sample.l1SizeShare);
    const hash = this.#file?.hash;
    const refusing = agents.find((a) => a.refusedHash !== undefined && a.refusedHash === hash);
    const failing = agents.find((a) => a.problem !== undefined && a.refusedHash === undefined);
    return {
      agents: agents.length,
      configured: agents.filter((a) => hash !== undefined && a.confirmedHash === hash).length,
      ...(refusing === undefined ? {} : { refusal: describe(refusing) }),
      ...(failing === undefined ? {} : { failure: describe(failing) }),
      sampled: samples.length,
      redisConnected: samples.filter((s) => s.isRedisConnected).length,
      shortOfMemory: short.length,
      ...(short[0] === undefined ? {} : { shortestNode: short[0].nodeName }),
      ...(ends.length === 0 ? {} : { certificateEndsAt: Math.min(...ends) }),
      ...(samples.length === 0 ? {} : { stats: summarizeStats(samples) }),
    };
  }

  #wake(): void {
    this.#changed.abort();
    this.#changed = new AbortController();
  }
}

function describe(agent: TrackedAgent): string {
  return `the agent on node '${agent.endpoint.nodeName}': ${agent.problem ?? 'no reason given'}`;
}
