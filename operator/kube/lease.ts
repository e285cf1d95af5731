import type { Logger } from 'pino';
import { isConflict, isNotFound, LeaseLostError, messageOf } from '../errors.ts';
import type { KubeClient } from './client.ts';
import { delay } from './delay.ts';
import { fieldAt, type KubeObject, numberAt } from './object.ts';
import { LEASES } from './resources.ts';

export interface LeaseTiming {
  /** How long others leave a lease alone that nobody renews. */
  readonly durationMs: number;
  /** How long the holder goes on without having renewed; less than the duration by more than a clock's drift. */
  readonly renewDeadlineMs: number;
  readonly retryMs: number;
}

/** client-go's numbers: a dead leader is replaced after 15 to 17 seconds, an orderly one at once. */
export const LEASE_TIMING: LeaseTiming = { durationMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2_000 };

export interface LeaseOptions {
  readonly client: Pick<KubeClient, 'get' | 'create' | 'replace'>;
  readonly namespace: string;
  readonly name: string;
  /** Unique to this process: pod name and something random. */
  readonly identity: string;
  readonly logger: Logger;
  readonly timing?: LeaseTiming;
}

/**
 * Leader election by a Lease.
 *
 * Whether another's lease has run out is decided by how long this process has seen it unchanged, never by
 * comparing clocks of two machines.
 */
export class LeaseElector {
  readonly #options: LeaseOptions;
  readonly #timing: LeaseTiming;
  #observed: { record: string; at: number } | undefined;
  #isLeader = false;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#timing = options.timing ?? LEASE_TIMING;
  }

  get isLeader(): boolean {
    return this.#isLeader;
  }

  /** Resolves when this process has become the leader; false where the signal came first. */
  async acquire(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      if (await this.#attempt(signal)) {
        this.#isLeader = true;
        this.#options.logger.info({ identity: this.#options.identity }, 'became the leader');
        return true;
      }
      // Jitter, so that several followers do not race for ever in step.
      await delay(this.#timing.retryMs * (0.8 + Math.random() * 0.4), signal);
    }
    return false;
  }

  /**
   * Renews until the signal.
   * @throws LeaseLostError when the lease is another's, or could not be renewed in time: stop all work.
   */
  async hold(signal: AbortSignal): Promise<void> {
    let renewedAt = performance.now();
    while (!signal.aborted) {
      await delay(this.#timing.retryMs, signal);
      if (signal.aborted) return;
      if (await this.#attempt(signal)) renewedAt = performance.now();
      else if (this.#isHeldByOther()) return this.#lost('another replica has taken the lease');
      if (performance.now() - renewedAt > this.#timing.renewDeadlineMs)
        return this.#lost(`the lease could not be renewed for ${this.#timing.renewDeadlineMs} ms`);
    }
  }

  /** Lets another replica take over at once. Only after all work has stopped. */
  async release(): Promise<void> {
    if (!this.#isLeader) return;
    this.#isLeader = false;
    try {
      const lease = await this.#read(AbortSignal.timeout(5_000));
      if (lease === undefined || holderOf(lease) !== this.#options.identity) return;
      const spec = { ...specOf(lease), holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTime() };
      await this.#options.client.replace(LEASES, { ...lease, spec }, AbortSignal.timeout(5_000));
    } catch (error) {
      this.#options.logger.warn({ error: messageOf(error) }, 'lease not released; it runs out by itself');
    }
  }

  #lost(why: string): never {
    this.#isLeader = false;
    throw new LeaseLostError(why);
  }

  /** Takes or renews the lease; false where that did not succeed this time. */
  async #attempt(signal: AbortSignal): Promise<boolean> {
    // One hanging request must not use up the whole deadline.
    const limited = AbortSignal.any([signal, AbortSignal.timeout(this.#timing.renewDeadlineMs / 2)]);
    try {
      const lease = await this.#read(limited);
      if (lease === undefined) await this.#options.client.create(LEASES, this.#newLease(), limited);
      else if (!this.#mayTake(lease)) return false;
      else await this.#options.client.replace(LEASES, this.#renewed(lease), limited);
      this.#observed = undefined;
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      const level = isConflict(error) ? 'debug' : 'warn';
      this.#options.logger[level]({ error: messageOf(error) }, 'lease not taken');
      return false;
    }
  }

  async #read(signal: AbortSignal): Promise<KubeObject | undefined> {
    const { client, namespace, name } = this.#options;
    try {
      const lease = await client.get(LEASES, { namespace, name }, signal);
      const record = JSON.stringify(lease['spec']);
      if (record !== this.#observed?.record) this.#observed = { record, at: performance.now() };
      return lease;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  #mayTake(lease: KubeObject): boolean {
    const holder = holderOf(lease);
    if (holder === '' || holder === this.#options.identity) return true;
    const durationMs = numberAt(lease, 'spec', 'leaseDurationSeconds') * 1000 || this.#timing.durationMs;
    return performance.now() - (this.#observed?.at ?? performance.now()) >= durationMs;
  }

  #isHeldByOther(): boolean {
    if (this.#observed === undefined) return false;
    const holder = fieldAt(JSON.parse(this.#observed.record), 'holderIdentity');
    return typeof holder === 'string' && holder !== '' && holder !== this.#options.identity;
  }

  #newLease(): KubeObject {
    const { namespace, name } = this.#options;
    return {
      apiVersion: LEASES.apiVersion,
      kind: LEASES.kind,
      metadata: { name, namespace },
      spec: { ...this.#claim(), acquireTime: microTime(), leaseTransitions: 0 },
    };
  }

  #renewed(lease: KubeObject): KubeObject {
    const before = specOf(lease);
    const isMine = holderOf(lease) === this.#options.identity;
    const takeover = { acquireTime: microTime(), leaseTransitions: numberAt(before, 'leaseTransitions') + 1 };
    // The resource version stays in the metadata: whoever writes second gets a conflict.
    return { ...lease, spec: { ...before, ...(isMine ? {} : takeover), ...this.#claim() } };
  }

  #claim(): Record<string, unknown> {
    return {
      holderIdentity: this.#options.identity,
      leaseDurationSeconds: Math.max(1, Math.round(this.#timing.durationMs / 1000)),
      renewTime: microTime(),
    };
  }
}

function specOf(lease: KubeObject): Record<string, unknown> {
  return { ...(lease['spec'] as Record<string, unknown> | undefined) };
}

function holderOf(lease: KubeObject): string {
  return String(fieldAt(lease, 'spec', 'holderIdentity') ?? '');
}

/** MicroTime needs six digits: three are refused with a 400 (kubernetes.md, pitfall 16). */
export function microTime(date = new Date()): string {
  return date.toISOString().replace('Z', '000Z');
}
