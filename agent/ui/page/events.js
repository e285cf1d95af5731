// @ts-check
import { listen } from './api.js';
import { el, find, numberCell, row, say, sync } from './dom.js';
import { latency } from './format.js';
import { noteChange, showKey } from './key.js';
import { signInAfter } from './sign-in.js';

/**
 * A change as agent/ui/live-event.ts shows it.
 * @typedef {object} LiveEvent
 * @property {string} id
 * @property {string} type
 * @property {'put' | 'invalidate'} op
 * @property {readonly string[]} namespaces
 * @property {readonly string[]} keys
 * @property {number} keyCount
 * @property {readonly string[]} tags
 * @property {number} tagCount
 * @property {string} source
 * @property {string} reason
 * @property {number} loggedAt
 * @property {number} partitions
 * @property {number} propagationMs
 */

const MOST_ROWS = 200;
const AGAIN_MS = 2_000;
/** The agent gives a sign of life every five seconds. */
const SILENCE_MS = 15_000;

/** Newest last, by the event’s id. @type {Map<string, LiveEvent>} */
const events = new Map();
/** What is to be known beside them. @type {string} */
let remark = '';
let isPaused = false;
/** A changed event is another object. @type {WeakMap<LiveEvent, HTMLElement>} */
const rows = new WeakMap();

/** Shows changes as they pass, for as long as the page is open. */
export function followEvents() {
  find('#event-pause').addEventListener('click', () => {
    isPaused = !isPaused;
    say(find('#event-pause'), isPaused ? 'Go on' : 'Pause');
    find('#event-pause').setAttribute('aria-pressed', String(isPaused));
    show();
  });
  find('#event-filter').addEventListener('input', show);
  void follow();
}

async function follow() {
  for (;;) {
    try {
      await listen('events', SILENCE_MS, receive);
      await pause();
    } catch (error) {
      if (await signInAfter(error)) continue;
      say(find('#event-state'), `not connected: ${error instanceof Error ? error.message : String(error)}`);
      await pause();
    }
  }
}

function pause() {
  return new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
}

/**
 * @param {string} name
 * @param {any} data of agent/ui/event-reader.ts
 */
function receive(name, data) {
  say(find('#event-state'), 'live');
  if (name === 'recent' || name === 'events') for (const event of data) keep(event);
  if (name === 'events') data.forEach(told);
  if (name === 'missed')
    remark = `${data.count} more events passed than this page could read; they are not shown.`;
  else if (name === 'resets')
    remark = `Events of ${data.length === 1 ? 'a partition' : `${data.length} partitions`} may be missing here: ${data[0]?.why}. Memory dropped what they could have concerned.`;
  else if (name === 'end' && data.why !== 'renew')
    remark = `The agent ended the stream: ${data.why}. Events since then may be missing.`;
  if (name !== 'alive') show();
}

/** @param {LiveEvent} event */
function told({ namespaces, keys, keyCount, tagCount }) {
  noteChange(namespaces, keys, keyCount === keys.length && tagCount === 0);
}

/** @param {LiveEvent} event */
function keep(event) {
  events.set(event.id, event);
  if (events.size <= MOST_ROWS) return;
  const [oldest] = events.keys();
  if (oldest !== undefined) events.delete(oldest);
}

function show() {
  say(find('#event-remark'), remark);
  if (isPaused) return;
  const filter = find('#event-filter');
  const words = (filter instanceof HTMLInputElement ? filter.value : '')
    .toLowerCase()
    .split(/\s+/)
    .filter(Boolean);
  const chosen = [...events.values()]
    .reverse()
    .filter((event) => words.every((word) => textOf(event).includes(word)));
  const wanted = chosen.length === 0 ? [nothing(events.size > 0)] : chosen.map(rowOf);
  sync(find('#event-table tbody'), wanted);
}

/** @param {boolean} isFiltered */
function nothing(isFiltered) {
  const text = isFiltered ? 'Nothing of it is like that.' : 'Nothing has changed since this agent started.';
  return el('tr', {}, el('td', { colspan: '6', class: 'quiet' }, text));
}

/** @param {LiveEvent} event */
function textOf({ type, op, namespaces, keys, tags, source, reason }) {
  return [type, op, ...namespaces, ...keys, ...tags, source, reason].join(' ').toLowerCase();
}

/**
 * The row that an event has already, where nothing of it has changed: what one points at must not go away.
 * @param {LiveEvent} event
 */
function rowOf(event) {
  const known = rows.get(event);
  if (known !== undefined) return known;
  const made = eventRow(event);
  rows.set(event, made);
  return made;
}

/** @param {LiveEvent} event */
function eventRow(event) {
  const { id, type, op, namespaces, source, reason, loggedAt, propagationMs } = event;
  const at = new Date(loggedAt);
  const what = el('td', { class: 'wide' }, ...subject(event));
  if (reason !== '') what.append(el('span', { class: 'quiet' }, ` ${reason}`));
  return row(
    [
      el('td', {}, el('time', { datetime: at.toISOString() }, clock(at))),
      el('th', { scope: 'row' }, el('span', { class: `op ${op}` }, op), ` ${type.replaceAll('_', ' ')}`),
      namespaces.join(', '),
      what,
      source,
      numberCell(propagationMs < 0 ? '–' : latency(propagationMs)),
    ],
    { 'data-event': id },
  );
}

/** @param {LiveEvent} event */
function subject({ namespaces, keys, keyCount, tags, tagCount, partitions }) {
  if (keyCount === 0 && tagCount === 0) return [`everything, in ${partitions} partitions`];
  const names = [
    ...keys.map((key) => keyButton(namespaces[0] ?? '', key)),
    ...tags.map((tag) => el('code', { class: 'tag' }, tag)),
  ];
  const more = keyCount + tagCount - names.length;
  return [...names.flatMap((name) => [name, ' ']), ...(more > 0 ? [`and ${more} more`] : [])];
}

/**
 * @param {string} namespace
 * @param {string} key
 */
function keyButton(namespace, key) {
  const button = el(
    'button',
    { type: 'button', class: 'link', title: 'What is known of it' },
    el('code', {}, key),
  );
  button.addEventListener('click', () => showKey(namespace, key));
  return button;
}

/** @param {Date} at */
function clock(at) {
  const two = (/** @type {number} */ value) => String(value).padStart(2, '0');
  const ms = String(at.getMilliseconds()).padStart(3, '0');
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${ms}`;
}
