// @ts-check
import { el, find, meterCell, numberCell, row, say } from './dom.js';
import { bytes, count, duration, latency, percent } from './format.js';

/**
 * An agent as agent/fleet/view.ts shows it.
 * @typedef {object} Member
 * @property {string} id
 * @property {'ready' | 'degraded' | 'unready' | 'gone'} state
 * @property {number} ageMs since it was last heard of
 * @property {string} node
 * @property {string} region
 * @property {string} datacenter
 * @property {string} tier
 * @property {string} version
 * @property {number} uptimeMs
 * @property {number} entries
 * @property {number} maxEntries
 * @property {number} bytes
 * @property {number} maxBytes
 * @property {number} lookupsPerSecond
 * @property {number} eventsPerSecond
 * @property {number} l1HitRatio
 * @property {number} hitRatio
 * @property {number} propagationP99Ms
 * @property {number} leaseMs
 * @property {number} violations
 */

/**
 * @typedef {object} Fleet
 * @property {string} cacheId
 * @property {number} maxStalenessMs
 * @property {string} self
 * @property {number} goneAfterMs
 * @property {string} problem
 * @property {readonly Member[]} agents
 */

const STATE_TEXT = { ready: 'ready', degraded: 'degraded', unready: 'not ready', gone: 'gone' };
/** A browser draws a thousand rows in no time, but not every two seconds. */
const MOST_ROWS = 200;
const NOTHING = '–';

/** @type {Fleet | undefined} */
let shown;

export function watchFilter() {
  find('#fleet-filter').addEventListener('input', () => {
    if (shown !== undefined) showTable(shown);
  });
}

/** @param {Fleet} fleet */
export function showFleet(fleet) {
  shown = fleet;
  say(find('#cache'), `cache ${fleet.cacheId}`);
  showTiles(fleet);
  showTable(fleet);
}

/** @param {Fleet} fleet */
function showTiles({ agents, maxStalenessMs }) {
  const live = agents.filter(({ state }) => state !== 'gone');
  const ready = live.filter(({ state }) => state === 'ready').length;
  const gone = agents.length - live.length;
  const lookups = sum(live, ({ lookupsPerSecond }) => lookupsPerSecond);
  // Each agent counts by what it is asked.
  const weighted = (/** @type {(member: Member) => number} */ pick) =>
    lookups === 0 ? Number.NaN : sum(live, (member) => pick(member) * member.lookupsPerSecond) / lookups;
  const violations = sum(live, (member) => member.violations);
  const worst = Math.max(0, ...live.map(({ propagationP99Ms }) => propagationP99Ms));
  find('#tiles').replaceChildren(
    tile(
      'Agents ready',
      `${ready} of ${live.length}`,
      gone === 0 ? 'none is gone' : `${gone} gone`,
      ready < live.length || gone > 0,
    ),
    tile('Answered from memory', percent(weighted(({ l1HitRatio }) => l1HitRatio)), 'L1, last minute', false),
    tile(
      'Answered by the cache',
      percent(weighted(({ hitRatio }) => hitRatio)),
      'L1 and L2, last minute',
      false,
    ),
    tile('Lookups a second', count(lookups), 'all agents', false),
    tile('Change to memory, p99', latency(worst), 'the slowest agent', worst > maxStalenessMs),
    tile(
      'Answers past the bound',
      String(violations),
      `found by the audit; bound ${latency(maxStalenessMs)}`,
      violations > 0,
    ),
  );
}

/**
 * @param {string} name
 * @param {string} value
 * @param {string} note
 * @param {boolean} isBad
 */
function tile(name, value, note, isBad) {
  return el(
    'div',
    { class: isBad ? 'tile bad' : 'tile' },
    el('h3', {}, name),
    el('p', { class: 'value' }, value),
    el('p', { class: 'quiet' }, note),
  );
}

/** @param {Fleet} fleet */
function showTable({ agents, self, problem, goneAfterMs }) {
  const filter = find('#fleet-filter');
  const words = (filter instanceof HTMLInputElement ? filter.value : '')
    .toLowerCase()
    .split(/\s+/)
    .filter(Boolean);
  const chosen = agents.filter((member) => words.every((word) => textOf(member).includes(word)));
  find('#fleet-table tbody').replaceChildren(
    ...chosen.slice(0, MOST_ROWS).map((member) => memberRow(member, member.id === self)),
  );
  say(find('#fleet-note'), note(chosen.length, agents.length, problem, goneAfterMs));
}

/**
 * @param {number} chosen
 * @param {number} all
 * @param {string} problem
 * @param {number} goneAfterMs
 */
function note(chosen, all, problem, goneAfterMs) {
  if (problem !== '') return `Only this agent can be shown: ${problem}`;
  const silence = `An agent that is not heard of for ${duration(goneAfterMs)} is gone.`;
  if (chosen > MOST_ROWS)
    return `The first ${MOST_ROWS} of ${chosen}; the filter finds the others. ${silence}`;
  return chosen < all ? `${chosen} of ${all} agents. ${silence}` : silence;
}

/** @param {Member} member */
function textOf({ node, region, datacenter, tier, state, version }) {
  return `${node} ${region} ${datacenter} ${tier} ${STATE_TEXT[state]} ${version}`.toLowerCase();
}

/**
 * @param {Member} member
 * @param {boolean} isSelf
 */
function memberRow(member, isSelf) {
  const { node, region, datacenter, tier, state, version } = member;
  const isGone = state === 'gone';
  const name = el('th', { scope: 'row' }, node);
  if (isSelf) name.append(' ', el('span', { class: 'badge' }, 'this agent'));
  return row(
    [
      name,
      el('td', {}, el('span', { class: `state ${state}` }, STATE_TEXT[state])),
      datacenter === '' ? region : `${region} · ${datacenter}`,
      tier,
      ...(isGone ? goneCells(member) : liveCells(member)),
      version,
    ],
    { 'data-agent': member.id, 'data-state': state, ...(isGone ? { class: 'gone' } : {}) },
  );
}

/** What it last said is not what is so: nothing of it is shown. @param {Member} member */
function goneCells({ ageMs }) {
  return [
    ...Array.from({ length: 7 }, () => numberCell(NOTHING)),
    el('td', {}, `silent for ${duration(ageMs)}`),
  ];
}

/** @param {Member} member */
function liveCells(member) {
  const { lookupsPerSecond, l1HitRatio, hitRatio, entries, maxEntries, maxBytes, leaseMs } = member;
  const ratio = (/** @type {number} */ share) => (lookupsPerSecond === 0 ? NOTHING : percent(share));
  return [
    numberCell(count(lookupsPerSecond)),
    numberCell(ratio(l1HitRatio)),
    numberCell(ratio(hitRatio)),
    meterCell(`${count(entries)} of ${count(maxEntries)}`, entries / maxEntries),
    meterCell(bytes(member.bytes), member.bytes / maxBytes),
    numberCell(latency(member.propagationP99Ms)),
    numberCell(leaseMs > 0 ? latency(leaseMs) : 'none'),
    el('td', {}, duration(member.uptimeMs)),
  ];
}

/**
 * @param {readonly Member[]} members
 * @param {(member: Member) => number} pick
 */
function sum(members, pick) {
  return members.reduce((all, member) => all + pick(member), 0);
}
