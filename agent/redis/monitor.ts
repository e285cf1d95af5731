import type { Logger } from 'pino';
import { messageOf } from '../errors.ts';
import type { NamespaceUsage } from '../l2/l2.ts';
import type { CommandConnections } from './connections.ts';
import { checkRedisMemory, describeProblem, type RedisProblem } from './memory-checks.ts';
import { fullest, type RedisMemory, readMemory } from './redis-info.ts';

const MINUTE_MS = 60_000;
/** A problem that stands is told again after this long. */
const REMIND_MS = 600_000;
/** How often rights are tried that were all there; what is missing is tried again at each look. */
const RIGHTS_MS = 60_000;
/** Redis' absence is told again after this long. */
const AWAY_REMIND_MS = 15_000;

export interface RedisMonitorOptions {
  readonly connections: CommandConnections;
  readonly intervalMs: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly log: Logger;
  /** Bytes that namespaces with a limit may take in Redis together. */
  readonly limitBytes: () => number;
  /** Tries what the user of Redis may do. */
  readonly findMissingRights: () => Promise<RedisProblem[]>;
  readonly readUsage: () => Promise<ReadonlyMap<string, NamespaceUsage>>;
}

/** Watches Redis' memory and how often connections fail. */
export class RedisMonitor {
  /** Of the fullest master. */
  memory: RedisMemory | undefined;
  /** Memory of each master, as of the last look that was answered. */
  masters: readonly RedisMemory[] = [];
  /** Settings on which promises fail, as of the last look that was answered. */
  problems: readonly RedisProblem[] = [];
  /** Of each namespace in Redis, as of the last look that was answered. */
  usage: ReadonlyMap<string, NamespaceUsage> = new Map();
  readonly #options: RedisMonitorOptions;
  /** Failures counted at each look, newest last. */
  readonly #history: { at: number; failures: number }[] = [];
  #awaySince: number | undefined;
  #awayToldAt = 0;
  #told = '';
  #toldAt = 0;
  #rights: readonly RedisProblem[] = [];
  #rightsAt = Number.NEGATIVE_INFINITY;
  #looking = false;

  constructor(options: RedisMonitorOptions) {
    this.#options = options;
  }

  get failuresPerMinute(): number {
    const [oldest] = this.#history;
    if (oldest === undefined) return this.#options.connections.failures;
    const minutes = Math.max(1, (this.#options.now() - oldest.at) / MINUTE_MS);
    return (this.#options.connections.failures - oldest.failures) / minutes;
  }

  start(signal: AbortSignal): void {
    const timer = setInterval(() => void this.#look(), this.#options.intervalMs);
    signal.addEventListener('abort', () => clearInterval(timer));
    void this.#look();
  }

  async #look(): Promise<void> {
    const { connections, log, limitBytes, readUsage } = this.#options;
    const now = this.#options.now();
    this.#history.push({ at: now, failures: connections.failures });
    while ((this.#history[0]?.at ?? now) < now - MINUTE_MS) this.#history.shift();
    this.#tellIfAway();
    if (!connections.connected || this.#looking) return;
    this.#looking = true;
    try {
      // First of all: what is missing may be the right to ask for the rest.
      this.problems = [
        ...(await this.#missingRights()),
        ...this.problems.filter(({ code }) => code !== 'rights'),
      ];
      this.#tell(this.problems);
      const masters = await readMemory(connections.next());
      this.masters = masters;
      this.memory = fullest(masters);
      this.problems = [...this.#rights, ...checkRedisMemory(masters, limitBytes())];
      this.#tell(this.problems);
      this.usage = await readUsage();
    } catch (error) {
      log.debug({ error: messageOf(error) }, 'Redis could not be looked at');
    } finally {
      this.#looking = false;
    }
  }

  async #missingRights(): Promise<readonly RedisProblem[]> {
    const { now, findMissingRights } = this.#options;
    if (this.#rights.length > 0 || now() - this.#rightsAt >= RIGHTS_MS) {
      this.#rights = await findMissingRights();
      this.#rightsAt = now();
    }
    return this.#rights;
  }

  /** An agent without Redis says so as long as it lasts: whatever ended the connection may have said nothing. */
  #tellIfAway(): void {
    const { connections, log, now } = this.#options;
    if (connections.connected) this.#awaySince = undefined;
    else if (this.#awaySince === undefined) this.#awaySince = this.#awayToldAt = now();
    else if (now() - this.#awayToldAt >= AWAY_REMIND_MS) {
      this.#awayToldAt = now();
      const seconds = Math.round((now() - this.#awaySince) / 1000);
      log.warn({ seconds, error: connections.lastError }, 'no connection to Redis');
    }
  }

  /** Loud, but no more: an agent that stopped answering would make it worse. */
  #tell(problems: readonly RedisProblem[]): void {
    const { now, log } = this.#options;
    const told = problems.map(describeProblem).join('\n');
    if (told === '' && this.#told !== '') log.info('the settings of Redis are well again');
    const again = told !== this.#told || now() - this.#toldAt > REMIND_MS;
    this.#told = told;
    if (told === '' || !again) return;
    this.#toldAt = now();
    for (const problem of problems)
      log[problem.severity === 'error' ? 'error' : 'warn'](problem, describeProblem(problem));
  }
}
