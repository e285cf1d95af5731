import type { Logger } from 'pino';
import { messageOf } from '../errors.ts';
import type { CommandConnections } from './connections.ts';
import { type RedisMemory, readMemory } from './redis-info.ts';

const MINUTE_MS = 60_000;
/** Policies under which Redis may drop logs and markers, which promises rest on. */
const SAFE_POLICY = 'noeviction';

/** Watches Redis' memory and how often connections fail. */
export class RedisMonitor {
  memory: RedisMemory | undefined;
  readonly #connections: CommandConnections;
  readonly #intervalMs: number;
  readonly #now: () => number;
  readonly #log: Logger;
  /** Failures counted at each look, newest last. */
  readonly #history: { at: number; failures: number }[] = [];
  #warnedOf = '';

  constructor(connections: CommandConnections, intervalMs: number, now: () => number, log: Logger) {
    this.#connections = connections;
    this.#intervalMs = intervalMs;
    this.#now = now;
    this.#log = log;
  }

  get failuresPerMinute(): number {
    const [oldest] = this.#history;
    if (oldest === undefined) return this.#connections.failures;
    const minutes = Math.max(1, (this.#now() - oldest.at) / MINUTE_MS);
    return (this.#connections.failures - oldest.failures) / minutes;
  }

  start(signal: AbortSignal): void {
    const timer = setInterval(() => void this.#look(), this.#intervalMs);
    signal.addEventListener('abort', () => clearInterval(timer));
    void this.#look();
  }

  async #look(): Promise<void> {
    const now = this.#now();
    this.#history.push({ at: now, failures: this.#connections.failures });
    while ((this.#history[0]?.at ?? now) < now - MINUTE_MS) this.#history.shift();
    if (!this.#connections.connected) return;
    try {
      this.memory = await readMemory(this.#connections.next());
      this.#checkPolicy(this.memory);
    } catch (error) {
      this.#log.debug({ error: messageOf(error) }, 'memory of Redis could not be read');
    }
  }

  #checkPolicy({ policy, maxBytes }: RedisMemory): void {
    if (maxBytes === 0 || policy === SAFE_POLICY || policy === this.#warnedOf) return;
    this.#warnedOf = policy;
    this.#log.error(
      { policy },
      'Redis may evict event logs and markers, and with them the promise that no event is lost; set maxmemory-policy noeviction',
    );
  }
}
