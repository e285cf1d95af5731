import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { KubeError } from '../errors.ts';
import { LEASE_TIMING, LeaseElector, microTime } from './lease.ts';
import { fieldAt, type KubeObject } from './object.ts';

/** The one Lease of a cluster, with the API server's rule that whoever writes second gets a conflict. */
class LeaseStore {
  lease: KubeObject | undefined;
  isDown = false;
  #version = 0;

  readonly client = () => ({
    get: async () => {
      this.#assertUp();
      if (this.lease === undefined) throw new KubeError('GET', 404, 'NotFound', 'none');
      return structuredClone(this.lease);
    },
    create: async (_resource: unknown, object: KubeObject) => {
      this.#assertUp();
      if (this.lease !== undefined) throw new KubeError('POST', 409, 'AlreadyExists', 'there');
      return this.#write(object);
    },
    replace: async (_resource: unknown, object: KubeObject) => {
      this.#assertUp();
      if (object.metadata.resourceVersion !== this.lease?.metadata.resourceVersion)
        throw new KubeError('PUT', 409, 'Conflict', 'changed');
      return this.#write(object);
    },
  });

  get holder(): unknown {
    return fieldAt(this.lease, 'spec', 'holderIdentity');
  }

  #assertUp(): void {
    if (this.isDown) throw new Error('connection refused');
  }

  #write(object: KubeObject): KubeObject {
    this.#version += 1;
    this.lease = { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } };
    return structuredClone(this.lease);
  }
}

describe('a lease', () => {
  let store: LeaseStore;
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] });
    store = new LeaseStore();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const elector = (identity: string) =>
    new LeaseElector({
      client: store.client(),
      namespace: 'ns',
      name: 'lease',
      identity,
      logger: pino({ level: 'silent' }),
    });

  /** Whether a promise settles within a time of the fake clock. */
  async function within<T>(
    promise: Promise<T>,
    limitMs: number,
  ): Promise<{ value: T; afterMs: number } | undefined> {
    let result: { value: T; afterMs: number } | undefined;
    const startedAt = performance.now();
    const done = promise.then((value) => {
      result = { value, afterMs: performance.now() - startedAt };
    });
    for (let passed = 0; passed < limitMs && result === undefined; passed += 100) {
      await vi.advanceTimersByTimeAsync(100);
    }
    if (result !== undefined) await done;
    return result;
  }
  const never = new AbortController().signal;

  test('is taken at once where nobody has it', async () => {
    expect(await within(elector('a').acquire(never), 1_000)).toMatchObject({ value: true });
    expect(store.holder).toBe('a');
    expect(fieldAt(store.lease, 'spec', 'renewTime')).toMatch(/\.\d{6}Z$/);
  });

  test('of a dead leader is taken after it has run out, within 20 s', async () => {
    await within(elector('dead').acquire(never), 1_000);
    const second = elector('b');
    const taken = await within(second.acquire(never), 30_000);
    expect(taken?.afterMs).toBeGreaterThanOrEqual(LEASE_TIMING.durationMs);
    expect(taken?.afterMs).toBeLessThan(20_000);
    expect(fieldAt(store.lease, 'spec', 'leaseTransitions')).toBe(1);
  });

  test('of a living leader is left alone', async () => {
    const first = elector('a');
    await within(first.acquire(never), 1_000);
    const stop = new AbortController();
    const holding = first.hold(stop.signal);
    expect(await within(elector('b').acquire(stop.signal), 120_000)).toBeUndefined();
    expect(store.holder).toBe('a');
    stop.abort();
    await holding;
  });

  test('is handed over at once when it is released', async () => {
    const first = elector('a');
    await within(first.acquire(never), 1_000);
    const second = within(elector('b').acquire(never), 10_000);
    await first.release();
    expect((await second)?.afterMs).toBeLessThan(3_000);
    expect(store.holder).toBe('b');
  });

  test('is one replica’s alone, when several race for it', async () => {
    const stop = new AbortController();
    const replicas = ['a', 'b', 'c'].map(elector);
    const all = replicas.map((replica) => replica.acquire(stop.signal));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(replicas.filter((replica) => replica.isLeader)).toHaveLength(1);
    stop.abort();
    await vi.advanceTimersByTimeAsync(3_000);
    await Promise.all(all);
  });

  test('that cannot be renewed is given up before another may take it', async () => {
    const first = elector('a');
    await within(first.acquire(never), 1_000);
    const holding = first.hold(never).catch((error: unknown) => error);
    store.isDown = true;
    const lost = await within(holding, 30_000);
    expect(lost?.value).toMatchObject({ code: 'ECO_LEASE_LOST' });
    expect(lost?.afterMs).toBeLessThan(LEASE_TIMING.durationMs);
    expect(first.isLeader).toBe(false);
  });

  test('survives an API server that is away for a moment', async () => {
    const first = elector('a');
    await within(first.acquire(never), 1_000);
    const stop = new AbortController();
    const holding = first.hold(stop.signal);
    store.isDown = true;
    await vi.advanceTimersByTimeAsync(6_000);
    store.isDown = false;
    await vi.advanceTimersByTimeAsync(20_000);
    expect(first.isLeader).toBe(true);
    stop.abort();
    await holding;
  });

  test('is judged by how long it was seen unchanged, not by the clock of who wrote it', async () => {
    await within(elector('a').acquire(never), 1_000);
    const spec = { ...(store.lease?.['spec'] as object), renewTime: microTime(new Date('2000-01-01')) };
    store.lease = { ...(store.lease as KubeObject), spec };
    expect(await within(elector('b').acquire(never), 10_000)).toBeUndefined();
  });
});
