import type { Cluster, Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { Beacon } from '../fleet/beacon.ts';
import { FleetDirectory } from '../fleet/directory.ts';
import { fleetMetrics } from '../fleet/metrics.ts';
import type { HttpMount } from '../http/mount.ts';
import type { StatsSources } from '../stats.ts';
import { UiAccess, type UiAccessOptions } from './access.ts';
import { UiData, type UiDataOptions } from './data.ts';
import { LiveEvents } from './live-events.ts';
import { uiMetrics } from './metrics.ts';
import { Ui } from './ui.ts';

export interface AgentPageOptions {
  readonly agentId: string;
  readonly sources: StatsSources;
  /** Gives the connection for the next command. */
  readonly next: () => Redis | Cluster;
  readonly ready: () => boolean;
  readonly explain: UiDataOptions['explain'];
  /** Who may see the page’s data: as it is at the gRPC port. */
  readonly security: UiAccessOptions['security'];
  readonly registry: Registry;
  readonly random: () => number;
  readonly log: Logger;
}

/** What people see of an agent and its fleet, wired: what it tells the others of itself, and the page at /ui. */
export class AgentPage {
  readonly mount: HttpMount;
  /** Where applied events are told of; nothing where the page is off. */
  readonly live: LiveEvents | undefined;
  readonly #beacon: Beacon;

  constructor({ agentId, sources, next, ready, explain, security, registry, random, log }: AgentPageOptions) {
    const { config, now } = sources;
    const directory = new FleetDirectory({ next, cacheId: config().cacheId, agentId, now });
    this.#beacon = new Beacon({ sources, directory, ready, random, log });
    fleetMetrics(this.#beacon, registry);
    const data = new UiData({ agentId, sources, beacon: this.#beacon, directory, explain });
    const live = new LiveEvents(now);
    uiMetrics(live, registry);
    this.live = config().ui.enabled ? live : undefined;
    const access = new UiAccess({ security, hosts: () => config().ui.hosts, now });
    this.mount = new Ui({ config, access, data, live, log });
  }

  /** Works until the signal. */
  start(signal: AbortSignal): void {
    this.#beacon.start(signal);
  }

  /** Tells the fleet that this agent ends in order. Never throws. */
  leave(): Promise<void> {
    this.live?.stop();
    return this.#beacon.leave();
  }
}
