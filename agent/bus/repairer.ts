import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { LoggedEvent } from '../../api/event.ts';
import { messageOf } from '../errors.ts';
import type { L2 } from '../l2/l2.ts';
import { compareVersions, NO_VERSION } from '../l2/version.ts';
import { backoffMs } from '../redis/connections.ts';
import { decodeEvent } from './event-codec.ts';
import type { Partition } from './partition.ts';

export interface RepairerOptions {
  readonly l2: L2;
  readonly log: Logger;
  readonly random: () => number;
  readonly signal: AbortSignal;
  readonly accept: (partition: Partition, event: LoggedEvent) => void;
  /** Drops everything of the partition; `lost` where something had been followed before. */
  readonly reset: (partition: Partition, lost: boolean) => void;
  /** A partition is whole again; told whether by replay or by reset. */
  readonly repaired: (partition: Partition, how: 'replay' | 'reset') => void;
}

interface Job {
  /** The newest event known to be out there; the job is done when it has been received. */
  newest: string;
  /** Why replay is not enough, if so. */
  restart: string | undefined;
}

const FIRST = 'first place in the log';
const PAGE = 1_000;
/** Beyond this many events to replay, dropping the partition is cheaper than catching up, and as correct. */
const MAX_REPLAY = 20_000;

/**
 * Brings partitions whose place in the log is not known, or that have a gap, back to completeness: by replay from the
 * log where it still reaches, otherwise by a reset to its head. It never guesses. One job for a partition at a time.
 */
export class Repairer {
  readonly #options: RepairerOptions;
  readonly #jobs = new Map<Partition, Job>();

  constructor(options: RepairerOptions) {
    this.#options = options;
  }

  /** Closes a gap up to a version. */
  repair(partition: Partition, newest: string): void {
    this.#begin(partition, newest, undefined);
  }

  /** Gives up a place in the log that turned out not to be in this log. */
  restart(partition: Partition, reason: string): void {
    this.#begin(partition, NO_VERSION, reason);
  }

  /** Notes an event that arrived while its partition was being repaired. */
  noteNewer(partition: Partition, version: string): void {
    const job = this.#jobs.get(partition);
    if (job !== undefined && compareVersions(version, job.newest) > 0) job.newest = version;
  }

  #begin(partition: Partition, newest: string, restart: string | undefined): void {
    partition.fence();
    const running = this.#jobs.get(partition);
    if (running !== undefined) {
      this.noteNewer(partition, newest);
      running.restart ??= restart;
      return;
    }
    const job: Job = { newest, restart };
    this.#jobs.set(partition, job);
    void this.#run(partition, job).finally(() => this.#jobs.delete(partition));
  }

  async #run(partition: Partition, job: Job): Promise<void> {
    const { signal, log, random } = this.#options;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        const how = await this.#bringUpToDate(partition, job);
        if (signal.aborted) return;
        // Judged again: what arrived meanwhile was only noted.
        if (compareVersions(partition.received, job.newest) < 0 && how === 'replay') continue;
        partition.current = true;
        this.#options.repaired(partition, how);
        return;
      } catch (error) {
        log.debug(
          { partition: partition.index, error: messageOf(error) },
          'repair failed, will be tried again',
        );
        await delay(backoffMs(attempt, random), undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async #bringUpToDate(partition: Partition, job: Job): Promise<'replay' | 'reset'> {
    const reason = job.restart ?? (partition.receivedEventId === '' ? FIRST : undefined);
    if (reason !== undefined) return this.#reset(partition, job, reason);
    for (let replayed = 0; replayed <= MAX_REPLAY; ) {
      const page = await this.#options.l2.readLog(partition.index, partition.received, PAGE);
      const broken = this.#replay(partition, page);
      if (broken !== undefined) return this.#reset(partition, job, broken);
      replayed += page.length;
      if (page.length === PAGE) continue;
      const head = await this.#options.l2.head(partition.index);
      if (head.version === partition.received && head.eventId === partition.receivedEventId) {
        job.newest = NO_VERSION;
        return 'replay';
      }
      // Newer: events were logged since the page was read. Anything else is not the log that was followed.
      if (page.length === 0) return this.#reset(partition, job, 'the log no longer has what comes next');
    }
    return this.#reset(partition, job, `more than ${MAX_REPLAY} events behind`);
  }

  /** Applies a page of the log; says what is wrong if it does not continue what was received. */
  #replay(partition: Partition, page: readonly string[]): string | undefined {
    for (const json of page) {
      let event: LoggedEvent;
      try {
        event = decodeEvent(json);
      } catch (error) {
        return `an entry of the log is not an event (${messageOf(error)})`;
      }
      if (partition.judge(event) !== 'next') return 'the log no longer reaches back to what was received';
      this.#options.accept(partition, event);
    }
    return undefined;
  }

  async #reset(partition: Partition, job: Job, reason: string): Promise<'reset'> {
    // The head is read first, then everything is dropped in one step: what is read from L2 later is at least as new.
    const head = await this.#options.l2.head(partition.index);
    job.restart = undefined;
    if (reason !== FIRST) {
      this.#options.log.warn({ partition: partition.index, reason, head: head.version }, 'partition reset');
    }
    this.#options.reset(partition, reason !== FIRST);
    partition.resetTo(head);
    return 'reset';
  }
}
