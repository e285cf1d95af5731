import type { Logger } from 'pino';
import { messageOf } from '../errors.ts';
import { delay } from '../kube/delay.ts';
import type { KubeObject } from '../kube/object.ts';
import type { AgentConfigFile } from '../manifests/agent-file.ts';
import { endpointsOf, tierKeyOf } from './endpoints.ts';
import type { FleetSummary } from './fleet-summary.ts';
import { sampleOf } from './fleet-summary.ts';
import { Limiter } from './limiter.ts';
import type { AgentLink } from './link.ts';
import { type TrackedAgent, TrackedTier } from './tracked-tier.ts';

export interface FleetTiming {
  readonly statsIntervalMs: number;
  /** Agents of one tier that are asked in one round; the next round asks the next ones. */
  readonly statsPerTier: number;
  readonly concurrency: number;
  readonly retryBaseMs: number;
  readonly retryMaxMs: number;
}

const TIMING: FleetTiming = {
  statsIntervalMs: 10_000,
  statsPerTier: 100,
  concurrency: 64,
  retryBaseMs: 250,
  retryMaxMs: 15_000,
};

export interface FleetOptions {
  readonly link: AgentLink;
  readonly logger: Logger;
  /** Something that a tier's status tells has changed. */
  readonly onNews: (tierKey: string) => void;
  readonly onPush?: (result: string) => void;
  readonly timing?: Partial<FleetTiming>;
}

/**
 * All running agents: hands them their tier's configuration within milliseconds of its change, sees to it that
 * they keep to it, and gathers their statistics at a bounded rate. Never asks the API server for anything.
 */
export class AgentFleet {
  readonly #options: FleetOptions;
  readonly #timing: FleetTiming;
  readonly #tiers = new Map<string, TrackedTier>();
  readonly #pushes: Limiter;
  readonly #asks: Limiter;
  #signal: AbortSignal | undefined;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timing };
    this.#pushes = new Limiter(this.#timing.concurrency);
    this.#asks = new Limiter(Math.ceil(this.#timing.concurrency / 2));
  }

  /** Handler for changes of EndpointSlices. */
  onSlice(key: string, now: KubeObject | undefined, before: KubeObject | undefined): void {
    const known = now ?? before;
    const tierKey = known === undefined ? undefined : tierKeyOf(known);
    if (tierKey === undefined) return;
    const tier = this.#tierOf(tierKey);
    if (tier.setSlice(key, now === undefined ? [] : endpointsOf(now))) this.#options.onNews(tierKey);
    this.#pushAll(tier);
    if (tier.isEmpty && tier.file === undefined) this.#tiers.delete(tierKey);
  }

  /** The configuration that the agents of a tier are to run by; undefined: leave them as they are. */
  setConfig(tierKey: string, file: AgentConfigFile | undefined): void {
    const tier = this.#tierOf(tierKey);
    tier.setConfig(file);
    this.#pushAll(tier);
  }

  forget(tierKey: string): void {
    const tier = this.#tiers.get(tierKey);
    if (tier === undefined) return;
    tier.setConfig(undefined);
    if (tier.isEmpty) this.#tiers.delete(tierKey);
  }

  summary(tierKey: string): FleetSummary {
    return this.#tierOf(tierKey).summary(Date.now() - 4 * this.#timing.statsIntervalMs);
  }

  /** Works until the signal: only the leader does. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    for (const tier of this.#tiers.values()) this.#pushAll(tier);
    while (!signal.aborted) {
      await delay(this.#timing.statsIntervalMs, signal);
      await this.#gather(signal);
    }
  }

  #tierOf(key: string): TrackedTier {
    let tier = this.#tiers.get(key);
    if (tier === undefined) {
      tier = new TrackedTier(key);
      this.#tiers.set(key, tier);
    }
    return tier;
  }

  #pushAll(tier: TrackedTier): void {
    for (const agent of tier.agents()) void this.#push(tier, agent);
  }

  /** Hands over the configuration until the agent has the newest one, or is gone, or refuses it. */
  async #push(tier: TrackedTier, agent: TrackedAgent): Promise<void> {
    const signal = this.#signal;
    if (signal === undefined || agent.isBusy || !tier.needsPush(agent)) return;
    agent.isBusy = true;
    try {
      let waitMs = this.#timing.retryBaseMs;
      while (!signal.aborted && tier.needsPush(agent)) {
        if (await this.#pushOnce(tier, agent, signal)) waitMs = this.#timing.retryBaseMs;
        else {
          await delay(waitMs * (0.5 + Math.random()), AbortSignal.any([signal, tier.changed]));
          waitMs = Math.min(this.#timing.retryMaxMs, waitMs * 2);
        }
      }
    } finally {
      agent.isBusy = false;
    }
  }

  async #pushOnce(tier: TrackedTier, agent: TrackedAgent, signal: AbortSignal): Promise<boolean> {
    const file = tier.file;
    if (file === undefined) return true;
    const result = await this.#pushes.run(() =>
      this.#options.link.push(agent.endpoint.address, file.text, signal),
    );
    this.#options.onPush?.(result.kind);
    if (result.kind === 'accepted') agent.confirmedHash = result.configHash;
    if (result.kind === 'refused') agent.refusedHash = file.hash;
    agent.problem = result.kind === 'accepted' ? undefined : result.problem;
    if (result.kind !== 'accepted')
      this.#options.logger.debug(
        { tier: tier.key, agent: agent.endpoint, result },
        'configuration not taken',
      );
    // One that answers with another hash than was sent is tried again, but not in a tight loop.
    const isSettled = result.kind === 'refused' || agent.confirmedHash === file.hash;
    if (isSettled) this.#options.onNews(tier.key);
    return isSettled;
  }

  async #gather(signal: AbortSignal): Promise<void> {
    const rounds = [...this.#tiers.values()].map(async (tier) => {
      const chosen = tier.nextToAsk(this.#timing.statsPerTier);
      if (chosen.length === 0) return;
      await Promise.all(chosen.map((agent) => this.#asks.run(() => this.#ask(tier, agent, signal))));
      this.#options.onNews(tier.key);
    });
    await Promise.all(rounds);
  }

  async #ask(tier: TrackedTier, agent: TrackedAgent, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    try {
      const { address } = agent.endpoint;
      const stats = await this.#options.link.stats(address, signal);
      const end = tier.file?.hasTls === true ? await this.#certificateEnd(address, signal) : undefined;
      agent.sample = sampleOf(stats, Date.now(), end);
      agent.silentRounds = 0;
      // A container that was started again has read its file, which may be older than what was pushed.
      if (agent.sample.configHash !== '' && agent.confirmedHash !== undefined && !agent.isBusy)
        agent.confirmedHash = agent.sample.configHash;
      void this.#push(tier, agent);
    } catch (error) {
      agent.silentRounds += 1;
      this.#options.logger.debug(
        { tier: tier.key, agent: agent.endpoint, error: messageOf(error) },
        'agent gave no statistics',
      );
    }
  }

  /** Undefined where it shows none: a tier that has just been told to speak TLS has agents that do not yet. */
  async #certificateEnd(address: string, signal: AbortSignal): Promise<number | undefined> {
    try {
      return (await this.#options.link.certificateEnd(address, signal)).getTime();
    } catch (error) {
      this.#options.logger.debug({ address, error: messageOf(error) }, 'agent showed no certificate');
      return undefined;
    }
  }
}
