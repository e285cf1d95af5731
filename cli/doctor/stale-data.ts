import type { StatsResponse } from '../../client/edge-cache-client.ts';
import { duration } from '../screen.ts';
import { type Check, type Examined, isOfRights, levelOf } from './finding.ts';

/** Wall clocks that differ by more are not kept by NTP. */
const CLOCKS_APART_MS = 1_000;

const entitled: Check = ({ redis }) => {
  const problem = redis?.problems.find(isOfRights);
  if (problem === undefined) return undefined;
  return {
    level: 'error',
    evidence: problem,
    cause: 'the ACL of Redis gives the agents’ user less than they need; what they ask there fails',
    remedy: 'give it the rights that are named; docs/security.md says which agents need',
  };
};

const audited: Check = ({ audit }) => {
  const { reads = 0, violations = 0 } = audit ?? {};
  if (violations === 0) return undefined;
  return {
    level: 'error',
    evidence: `${violations} of ${reads} answers from memory that were checked later were older than the bound`,
    cause: 'changes are made in Redis past the agents, or the agent was held up beyond its lease',
    remedy:
      'make every change through an agent; the log names the keys ("the audit found"): trace one with "edgecache doctor NAMESPACE KEY", and report what it says',
  };
};

const subscribed: Check = ({ redis }) => {
  if (redis?.connected !== true || redis.pubsubActive) return undefined;
  return {
    level: 'error',
    evidence: 'not every partition is subscribed',
    cause:
      'the event connection to a master is being made, or is refused (ACL, NetworkPolicy, output buffer limit)',
    remedy:
      'see the agent’s log for "event subscription lost"; critical lookups are answered from Redis meanwhile, so nothing is stale, only slower',
  };
};

const leased: Check = ({ events, redis }) => {
  // Agents of earlier releases tell of no partitions.
  const { partitions = 0, partitionsLeased = 0, leasesLost = 0 } = events ?? {};
  if (redis?.connected !== true || partitionsLeased >= partitions) return undefined;
  return {
    level: 'error',
    evidence: `${partitions - partitionsLeased} of ${partitions} partitions have no lease now: no proof that no event was missed; ${leasesLost} leases ran out so far`,
    cause:
      'Redis or the event connection takes longer than maxStalenessMs to answer, or the agent gets too little CPU to ask',
    remedy:
      'nothing stale is answered, but critical lookups go to Redis until the lease is back: look at Redis’ latency ("redis-cli --latency") and at CPU throttling of the agent; where the network is just far, raise maxStalenessMs',
  };
};

const lostLeases: Check = ({ events, uptimeMs }) => {
  const { partitions = 0, partitionsLeased = 0, leasesLost = 0, subscriptionsLost = 0 } = events ?? {};
  if (leasesLost === 0 || partitionsLeased < partitions) return undefined;
  return {
    level: 'warning',
    evidence: `${leasesLost} leases ran out in ${duration(uptimeMs)}, and ${subscriptionsLost} event connections were lost; all are back`,
    cause: 'failovers or restarts of Redis, pauses of the network, or of the agent',
    remedy:
      'where it goes on (edgecache_leases_lost_total), look at the time of each in Redis’ log and in the agent’s ("event subscription lost")',
  };
};

const propagated: Check = ({ events }) => {
  const p99 = events?.propagationP99Ms ?? 0;
  const level = levelOf(p99, 500, 2_000);
  if (level === undefined) return undefined;
  return {
    level,
    evidence: `events take ${p99.toFixed(0)} ms to be applied (99th percentile)`,
    cause: 'the agent has too little CPU, or the network to Redis is slow',
    remedy: 'raise the agent’s CPU limit; compare with "edgecache top" of other nodes',
  };
};

const sent: Check = ({ events }) => {
  const { outboxSize = 0, outboxAgeMs = 0 } = events ?? {};
  if (outboxSize === 0) return undefined;
  return {
    level: 'warning',
    evidence: `${outboxSize} changes were accepted and not yet sent, the oldest for ${duration(outboxAgeMs)}`,
    cause: 'Redis is, or was just, out of the agent’s reach',
    remedy: 'bring Redis back; they are sent once, in order. A growing number means that it is still away',
  };
};

const clocks: Check = ({ redis }) => {
  const offset = redis?.clockOffsetMs ?? 0;
  if (Math.abs(offset) <= CLOCKS_APART_MS) return undefined;
  return {
    level: 'warning',
    evidence: `the node’s clock is ${duration(Math.abs(offset))} ${offset > 0 ? 'behind' : 'ahead of'} that of Redis`,
    cause: 'one of the two is not kept by NTP',
    remedy:
      'set the clocks: nothing is decided by them, but timestamps of events and logs cannot be compared as long',
  };
};

export const STALE_DATA: readonly Check[] = [
  entitled,
  audited,
  subscribed,
  leased,
  lostLeases,
  propagated,
  sent,
  clocks,
];

/** What there is to say where nothing is wrong. */
export function staleDataFigures(found: readonly Examined[]): string {
  const sum = (read: (stats: StatsResponse) => number | undefined) =>
    found.reduce((total, { value }) => total + (read(value) ?? 0), 0);
  const slowest = Math.max(0, ...found.map(({ value }) => value.events?.propagationP99Ms ?? 0));
  const [held, all] = [
    sum(({ events }) => events?.partitionsLeased),
    sum(({ events }) => events?.partitions),
  ];
  return `${held} of ${all} leases hold; ${sum(({ audit }) => audit?.violations)} of ${sum(({ audit }) => audit?.reads)} audited answers were too old; events take ${slowest.toFixed(1)} ms (p99, slowest agent)`;
}
