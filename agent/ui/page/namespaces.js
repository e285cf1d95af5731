// @ts-check
import { el, find, meterCell, numberCell, row } from './dom.js';
import { bytes, count, duration, percent } from './format.js';

/**
 * A namespace as Stats tells of it: see proto/edgecache/v1/edgecache.proto.
 * @typedef {object} NamespaceStats
 * @property {string} name
 * @property {number} entries
 * @property {number} bytes
 * @property {number} hits
 * @property {number} misses
 * @property {number} invalidations
 * @property {number} ttlMs
 * @property {boolean} eventDriven
 * @property {boolean} critical
 * @property {number} l2Bytes
 * @property {number} l2Entries
 * @property {number} l2LimitBytes
 * @property {readonly { cause: string, count: number }[]} l1Misses
 */

const MOST_CAUSES = 3;

/** @param {readonly NamespaceStats[]} namespaces */
export function showNamespaces(namespaces) {
  find('#namespace-table tbody').replaceChildren(...namespaces.map(namespaceRow));
}

/** @param {NamespaceStats} namespace */
function namespaceRow(namespace) {
  const { name, hits, misses, l2Bytes, l2Entries, l2LimitBytes } = namespace;
  const lookups = hits + misses;
  const inRedis = `${bytes(l2Bytes)}, ${count(l2Entries)} entries`;
  return row(
    [
      name,
      el('td', {}, ...rules(namespace)),
      numberCell(count(lookups)),
      numberCell(lookups === 0 ? '–' : percent(hits / lookups)),
      causes(namespace),
      numberCell(count(namespace.entries)),
      numberCell(bytes(namespace.bytes)),
      numberCell(count(namespace.invalidations)),
      l2LimitBytes === 0
        ? numberCell(inRedis)
        : meterCell(`${inRedis} of ${bytes(l2LimitBytes)}`, l2Bytes / l2LimitBytes),
    ],
    { 'data-namespace': name },
  );
}

/** @param {NamespaceStats} namespace */
function rules({ ttlMs, critical, eventDriven }) {
  const kind = critical ? 'critical' : eventDriven ? 'events' : 'TTL only';
  return [el('span', { class: critical ? 'badge strong' : 'badge' }, kind), ` TTL ${duration(ttlMs)}`];
}

/** @param {NamespaceStats} namespace */
function causes({ l1Misses }) {
  const sorted = l1Misses.filter(({ count: times }) => times > 0).sort((a, b) => b.count - a.count);
  const named = sorted
    .slice(0, MOST_CAUSES)
    .map(({ cause, count: times }) => `${cause.replaceAll('_', ' ')} ${count(times)}`);
  return named.length === 0 ? '–' : named.join(', ');
}
