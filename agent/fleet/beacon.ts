import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { messageOf } from '../errors.ts';
import type { StatsSources } from '../stats.ts';
import type { FleetDirectory } from './directory.ts';
import { RateHistory } from './rates.ts';
import { type AgentSummary, summarize } from './summary.ts';

export interface BeaconOptions {
  readonly sources: StatsSources;
  readonly directory: Pick<FleetDirectory, 'report' | 'leave'>;
  readonly ready: () => boolean;
  /** From 0 up to, and without, 1. */
  readonly random: () => number;
  readonly log: Logger;
}

/** Mean time between two reports, spread by a fifth so that agents that start together do not report together. */
export const REPORT_MS = 5_000;
/** An agent that was silent for so long has missed two reports at least: it is gone, or cut off. */
export const GONE_MS = 15_000;
/** At the start others should not wait for long to hear of it. */
const FIRST_MS = 250;

/** Tells the other agents of the cache every few seconds how this one is, and keeps what its own page shows of the past. */
export class Beacon {
  readonly history = new RateHistory();
  readonly counters = { reports: 0, failures: 0 };
  readonly #options: BeaconOptions;
  #reporting: Promise<void> = Promise.resolve();

  constructor(options: BeaconOptions) {
    this.#options = options;
  }

  /** Works until the signal. */
  start(signal: AbortSignal): void {
    this.#sample();
    void this.#run(signal);
  }

  /** What it would say now. */
  summary(): AgentSummary {
    const { sources, ready } = this.#options;
    return summarize(sources, ready(), this.history.recent());
  }

  /** Takes this agent off the list, once nothing more puts it there. Never throws: if it cannot be, it goes silent. */
  async leave(): Promise<void> {
    const { directory, log } = this.#options;
    await this.#reporting;
    await directory.leave().catch((error: unknown) => {
      log.debug({ error: messageOf(error) }, 'the fleet could not be told that this agent ends');
    });
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { random } = this.#options;
    let waitMs = FIRST_MS;
    while (!signal.aborted) {
      await sleep(waitMs * (0.8 + 0.4 * random()), undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return;
      this.#sample();
      this.#reporting = this.#report();
      await this.#reporting;
      waitMs = this.counters.reports === 0 ? FIRST_MS * 2 : REPORT_MS;
    }
  }

  /** Notes the counters of this moment. */
  #sample(): void {
    const { reader, now, eventsApplied } = this.#options.sources;
    this.history.add(now(), { ...reader.counters, events: eventsApplied() });
  }

  /** An agent that cannot tell of itself is one that the others see go silent. */
  async #report(): Promise<void> {
    const { directory, sources, log } = this.#options;
    // A connection that does not stand would only fail.
    if (!sources.connections.connected) return;
    try {
      await directory.report(this.summary());
      this.counters.reports += 1;
    } catch (error) {
      this.counters.failures += 1;
      log.debug({ error: messageOf(error) }, 'the fleet could not be told of this agent');
    }
  }
}
