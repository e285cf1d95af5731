/**
 * Starts an agent with one protection taken out, named by CHAOS_BREAK: wiring of the checker's own tests, which must see
 * the violations that the protection prevents. Nothing of this is in the product.
 */
import { Partition } from '../../../agent/bus/partition.ts';
import { Confirmations } from '../../../agent/change/confirmations.ts';
import { L2 } from '../../../agent/l2/l2.ts';
import { Watchers } from '../../../agent/watch/watchers.ts';

const FOREVER = Number.MAX_SAFE_INTEGER;

/** The lease never ends and heads prove everything: what a cache without proof of freshness does. */
function noLease(): void {
  const { resetTo } = Partition.prototype;
  Partition.prototype.resetTo = function (head) {
    // On the object itself: fields are defined there, and hide whatever the prototype has.
    for (const field of ['freshCriticalUntil', 'freshBulkUntil']) {
      Object.defineProperty(this, field, { get: () => FOREVER, set: () => undefined, configurable: true });
    }
    resetTo.call(this, head);
  };
  Partition.prototype.judgeHead = () => 'next';
}

/** Every event that arrives is taken for the next one: what a backplane without order does. */
function noGapDetection(): void {
  const { judge } = Partition.prototype;
  Partition.prototype.judge = function (event) {
    const verdict = judge.call(this, event);
    if (verdict === 'next') return 'next';
    this.resetTo({ version: event.version, eventId: event.event_id });
    return 'next';
  };
  Partition.prototype.judgeHead = () => 'next';
}

/** An entry read from L2 enters memory whatever was applied meanwhile. */
function noFillGuard(): void {
  Partition.prototype.noteApplied = () => undefined;
}

/** Fills are written as plain puts would be, without their lease. */
function noFillLease(): void {
  L2.prototype.fill = async function ({ namespace, key, value, ttlMs, tags }) {
    const partition = this.partitionOf(namespace, key);
    const eventId = `broken-${Math.random().toString(36).slice(2)}`;
    const put = {
      namespace,
      key,
      value,
      ttlMs,
      tags,
      ifVersion: '',
      base: '',
      push: false,
      compressAboveBytes: 0,
    };
    const event = {
      event_id: eventId,
      event_type: 'broken',
      resource_id: '',
      data: {},
      timestamp: 0,
      source_node: 'x',
    };
    const body = JSON.stringify({ ...event, affected_namespaces: [namespace], keys: [key], tags: [] }).slice(
      1,
    );
    const part = {
      partition,
      eventId,
      body,
      put,
      keys: [],
      tagMarkers: [],
      namespaceMarkers: [],
      minReplicas: 0,
      confirm: false,
    };
    return (await this.change(part)).version;
  };
}

/** A confirmed change returns without hearing from anybody. */
function noConfirmation(): void {
  Confirmations.prototype.wait = async () => ({
    agentsLive: 0,
    agentsApplied: 0,
    agentsFenced: 0,
    elapsedMs: 0,
  });
}

/** Near caches are given a minute, whatever the agent itself can prove: what a fixed time to live does. */
function noHandedDownLease(): void {
  Watchers.prototype.renew = (watcher, nonce) => watcher.grant(nonce, performance.now() + 60_000);
}

const BREAKS: Readonly<Record<string, () => void>> = {
  noLease,
  noGapDetection,
  noFillGuard,
  noFillLease,
  noConfirmation,
  noHandedDownLease,
};

const broken = BREAKS[process.env.CHAOS_BREAK ?? ''];
if (broken === undefined) throw new Error(`CHAOS_BREAK must be one of ${Object.keys(BREAKS).join(', ')}`);
broken();
await import('../../../agent/main.ts');
