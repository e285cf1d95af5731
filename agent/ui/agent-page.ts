import type { Cluster, Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { Beacon } from '../fleet/beacon.ts';
import { FleetDirectory } from '../fleet/directory.ts';
import { fleetMetrics } from '../fleet/metrics.ts';
import type { HttpMount } from '../http/mount.ts';
import type { StatsSources } from '../stats.ts';
import { UiData } from './data.ts';
import { Ui } from './ui.ts';

export interface AgentPageOptions {
  readonly agentId: string;
  readonly sources: StatsSources;
  /** Gives the connection for the next command. */
  readonly next: () => Redis | Cluster;
  readonly ready: () => boolean;
  readonly registry: Registry;
  readonly random: () => number;
  readonly log: Logger;
}

/** What people see of an agent and its fleet, wired: what it tells the others of itself, and the page at /ui. */
export class AgentPage {
  readonly mount: HttpMount;
  readonly #beacon: Beacon;

  constructor({ agentId, sources, next, ready, registry, random, log }: AgentPageOptions) {
    const { config, now } = sources;
    const directory = new FleetDirectory({ next, cacheId: config().cacheId, agentId, now });
    this.#beacon = new Beacon({ sources, directory, ready, random, log });
    fleetMetrics(this.#beacon, registry);
    const data = new UiData({ agentId, sources, beacon: this.#beacon, directory });
    this.mount = new Ui({ config, data, log });
  }

  /** Works until the signal. */
  start(signal: AbortSignal): void {
    this.#beacon.start(signal);
  }

  /** Tells the fleet that this agent ends in order. Never throws. */
  leave(): Promise<void> {
    return this.#beacon.leave();
  }
}
