import type { VerdictKind } from '../../api/verdict.ts';
import type { ExplainResponse } from '../../client/edge-cache-client.ts';
import { duration, type Screen } from '../screen.ts';
import type { Trace, TracedAgent, TracedCache } from './collect.ts';

const NONE = '-';
/** Names of agents that were not asked, shown. */
const MOST_NAMES = 5;

const STYLES: Readonly<Record<VerdictKind, 'green' | 'yellow' | 'red'>> = {
  empty: 'green',
  current: 'green',
  silent: 'green',
  'by-ttl': 'yellow',
  behind: 'yellow',
  unknown: 'yellow',
  stale: 'red',
};

const WORDS: Readonly<Record<VerdictKind, string>> = {
  empty: 'no agent holds it: each asks Redis',
  current: 'all agree',
  silent: 'all agree: what is old is not answered',
  'by-ttl':
    'an agent that follows no events answers what is old until its TTL is over (CACHE_ENABLE_EVENT_DRIVEN)',
  behind: 'an agent is behind, within the bound that its lease keeps; ask again',
  unknown: 'nobody can tell: Redis does not answer, and leases hold for the moments that are shown',
  stale:
    'STALE: memory answers what changed longer ago than the bound allows. Changes made in Redis past the agents do that, and so would a bug: keep this output, see the log for "the audit found"',
};

export function showTrace(screen: Screen, { caches, failed }: Trace): void {
  caches.forEach((cache, index) => {
    if (index > 0) screen.print();
    if (caches.length > 1)
      screen.print(
        screen.style('bold', `cache ${index + 1}: ${cache.agents.map(({ name }) => name).join(', ')}`),
      );
    showCache(screen, cache);
  });
  for (const { name, error } of failed) screen.note(`${name} could not be asked: ${error.message}`);
}

function showCache(screen: Screen, cache: TracedCache): void {
  const { agents, detail, unasked, verdict } = cache;
  screen.table([
    ['AGENT', 'MEMORY', 'HELD', 'CAME BY', 'LEFT', 'BYTES', 'LEASE', 'VERDICT'],
    ...agents.map((agent) => rowOf(screen, agent)),
  ]);
  screen.print();
  showRedis(screen, detail ?? agents[0]?.said);
  showLog(screen, detail);
  if (unasked.length > 0) {
    const names = unasked.slice(0, MOST_NAMES).join(', ');
    const more = unasked.length > MOST_NAMES ? `, and ${unasked.length - MOST_NAMES} more` : '';
    screen.print(`not asked, though they may hold entries of the partition: ${names}${more}`);
  }
  screen.print();
  screen.print(`${screen.style('bold', 'verdict')}: ${screen.style(STYLES[verdict], WORDS[verdict])}`);
}

function rowOf(screen: Screen, { name, said, verdict }: TracedAgent): string[] {
  const { memory, freshness, queued } = said;
  const lease = freshness === undefined || freshness.leaseMs === 0 ? 'none' : `${freshness.leaseMs} ms`;
  const text = `${verdict.text}${queued ? '; a change waits here to be sent' : ''}`;
  const judged = screen.style(STYLES[verdict.kind], text);
  if (memory === undefined) return [name, NONE, NONE, NONE, NONE, NONE, lease, judged];
  return [
    name,
    `${memory.version}${memory.absent ? ' (absent)' : ''}`,
    duration(memory.heldMs),
    { redis: 'read', own: 'own write', event: 'event' }[memory.origin] ?? memory.origin,
    memory.freshMs > 0 ? duration(memory.freshMs) : 'over',
    String(memory.bytes),
    lease,
    judged,
  ];
}

type RedisSide = NonNullable<ExplainResponse['redis']>;

function showRedis(screen: Screen, said: ExplainResponse | undefined): void {
  const redis = said?.redis;
  if (redis === undefined) {
    screen.print(`Redis: ${said?.redisError || 'not asked'}`);
    return;
  }
  const { stored, markers, lease, head } = redis;
  const partition = `partition ${said?.partition}, newest event ${head || 'none'}`;
  screen.print(
    `Redis: ${stored === undefined ? 'no entry' : storedText(screen, redis, stored)}; ${partition}`,
  );
  for (const marker of markers) screen.print(`  ${markerText(marker)}`);
  if (lease !== undefined)
    screen.print(
      `  somebody ${lease.refresh ? 'refreshes' : 'loads'} it, since event ${lease.since}, for ${lease.leftMs} ms more at most`,
    );
}

function storedText(
  screen: Screen,
  { invalidated }: RedisSide,
  { version, ttlMs, bytes, flags, tags }: NonNullable<RedisSide['stored']>,
): string {
  return [
    `version ${version || 'unreadable'}`,
    `written ${timeOf(version)}`,
    `${duration(ttlMs)} left`,
    `${bytes} bytes`,
    ...(flags & 1 ? ['absent'] : []),
    ...(flags & 2 ? ['compressed'] : []),
    ...(invalidated ? [screen.style('yellow', 'invalidated by a marker')] : []),
    ...(tags.length > 0 ? [`tags ${tags.join(' ')}`] : []),
  ].join(', ');
}

function markerText({ tag, version, newer }: RedisSide['markers'][number]): string {
  const of = tag === '' ? 'the namespace' : `tag ${tag}`;
  return `marker of ${of}: ${version} (${timeOf(version)})${newer ? ', newer than the entry' : ''}`;
}

function showLog(screen: Screen, said: ExplainResponse | undefined): void {
  if (said === undefined) return;
  const { log, logError } = said;
  if (log === undefined) {
    if (logError !== '') screen.print(`log: ${logError}`);
    return;
  }
  const reach = log.complete ? 'all that the log has' : `back to ${timeOf(log.oldest)}`;
  screen.print(
    `log: ${log.writes} writes and ${log.invalidations} invalidations of it among ${log.scanned} events of its partition, ${reach}`,
  );
  if (log.events.length === 0) return;
  screen.print();
  screen.table([
    ['CHANGED', 'BY', 'EVENT', 'REASON', 'FROM', 'EVENT ID'],
    ...log.events.map((event) => [
      timeOf(event.version),
      effectOf(event.effect, event.tag),
      event.resourceId === '' ? event.eventType : `${event.eventType} ${event.resourceId}`,
      event.reason || NONE,
      event.sourceNode,
      event.eventId,
    ]),
  ]);
}

function effectOf(effect: string, tag: string): string {
  if (effect === 'tag') return `tag ${tag}`;
  if (effect === 'maybe_tag') return `tag ${tag}, if it had it`;
  return effect;
}

/** A version begins with the milliseconds of Redis' clock at its change, or at the last change before its fill. */
function timeOf(version: string): string {
  const ms = Number(version.split('-')[0]);
  return version === '' || !Number.isFinite(ms) ? NONE : new Date(ms).toISOString();
}

/** One object for each agent, then one for each cache. */
export function printTraceJson(screen: Screen, { caches, failed }: Trace): void {
  for (const [index, { agents, detail, unasked, verdict }] of caches.entries()) {
    for (const { name, said, verdict: own } of agents)
      screen.printJson({ kind: 'agent', cache: index, name, verdict: own, ...said });
    const { redis, redisError, log, partition } = detail ?? {};
    screen.printJson({ kind: 'cache', cache: index, verdict, partition, unasked, redis, redisError, log });
  }
  for (const { name, error } of failed) screen.printJson({ kind: 'failed', name, error: error.message });
}
