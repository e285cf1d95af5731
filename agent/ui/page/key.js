// @ts-check
import { ApiError, ask } from './api.js';
import { el, find, row, say } from './dom.js';
import { bytes, duration, latency } from './format.js';

/**
 * What the agent knows of one key: ExplainResponse of proto/edgecache/v1/edgecache.proto.
 * @typedef {object} Explained
 * @property {string} nodeId
 * @property {number} partition
 * @property {{ critical: boolean, eventDriven: boolean, ttlMs: number, l1TtlMs: number }} rules
 * @property {Memory} [memory]
 * @property {Redis} [redis]
 * @property {string} redisError
 * @property {{ leaseMs: number, maxStalenessMs: number, current: boolean, pending: number }} [freshness]
 * @property {Log} [log]
 * @property {string} logError
 * @property {boolean} queued
 */

/**
 * @typedef {object} Memory
 * @property {string} version
 * @property {boolean} absent
 * @property {readonly string[]} tags
 * @property {number} bytes
 * @property {number} heldMs
 * @property {string} origin
 * @property {number} freshMs
 * @property {string} unansweredBecause
 */

/**
 * @typedef {object} Redis
 * @property {{ version: string, ttlMs: number, bytes: number, tags: readonly string[] }} [stored]
 * @property {boolean} invalidated
 * @property {{ since: string, leftMs: number, refresh: boolean }} [lease]
 */

/**
 * @typedef {object} Log
 * @property {number} scanned
 * @property {boolean} complete
 * @property {number} writes
 * @property {number} invalidations
 * @property {readonly KeyEvent[]} events
 */

/**
 * @typedef {object} KeyEvent
 * @property {string} version
 * @property {string} eventId
 * @property {string} eventType
 * @property {string} effect
 * @property {string} tag
 * @property {string} reason
 * @property {string} sourceNode
 * @property {number} loggedAtUs
 */

/** Of UTF-8, as the contract says. */
const MOST_KEY_BYTES = 512;
/** An event concerned it: a booking is often several. */
const SETTLE_MS = 400;

/** @type {{ namespace: string, key: string } | undefined} */
let asked;
let question = 0;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let again;

export function answerKeys() {
  find('#key-form').addEventListener('submit', (event) => {
    event.preventDefault();
    submit();
  });
  input('#key-name').addEventListener('input', () => complain(''));
}

/**
 * Namespaces to choose from.
 * @param {readonly string[]} names
 */
export function offerNamespaces(names) {
  const select = find('#key-namespace');
  if (!(select instanceof HTMLSelectElement)) return;
  if ([...select.options].map(({ value }) => value).join() === names.join()) return;
  const chosen = select.value;
  select.replaceChildren(...names.map((name) => el('option', { value: name }, name)));
  if (names.includes(chosen)) select.value = chosen;
}

/**
 * Asks for a key that somebody chose elsewhere on the page.
 * @param {string} namespace
 * @param {string} key
 */
export function showKey(namespace, key) {
  const select = find('#key-namespace');
  if (select instanceof HTMLSelectElement) select.value = namespace;
  input('#key-name').value = key;
  submit();
  find('#key').scrollIntoView();
}

/**
 * A change passed: where it concerns the key that is shown, it is asked for anew.
 * @param {readonly string[]} namespaces
 * @param {readonly string[]} keys none: all
 * @param {boolean} namesAll whether these are all that it names
 */
export function noteChange(namespaces, keys, namesAll) {
  if (asked === undefined || !namespaces.includes(asked.namespace)) return;
  // One that names tags may concern it: only the agent knows.
  if (namesAll && keys.length > 0 && !keys.includes(asked.key)) return;
  clearTimeout(again);
  again = setTimeout(() => void answer(), SETTLE_MS);
}

function submit() {
  const select = find('#key-namespace');
  const namespace = select instanceof HTMLSelectElement ? select.value : '';
  const key = input('#key-name').value;
  const problem = problemOf(namespace, key);
  complain(problem);
  if (problem !== '') {
    input('#key-name').focus();
    return;
  }
  asked = { namespace, key };
  void answer();
}

/**
 * @param {string} namespace
 * @param {string} key
 */
function problemOf(namespace, key) {
  if (namespace === '') return 'No namespace is known yet: the agent has not answered.';
  const size = new TextEncoder().encode(key).length;
  if (size === 0) return 'Name a key, such as gpu/gpu_123.';
  if (size > MOST_KEY_BYTES) return `This key has ${size} bytes; it must have at most ${MOST_KEY_BYTES}.`;
  return '';
}

/** @param {string} problem */
function complain(problem) {
  say(find('#key-problem'), problem);
  input('#key-name').setAttribute('aria-invalid', String(problem !== ''));
}

async function answer() {
  if (asked === undefined) return;
  const { namespace, key } = asked;
  question += 1;
  const mine = question;
  try {
    const explained = await ask(`key?${new URLSearchParams({ namespace, key })}`);
    // Another was asked meanwhile.
    if (mine === question) show(namespace, key, explained);
  } catch (error) {
    if (mine !== question) return;
    find('#key-answer').hidden = true;
    complain(error instanceof ApiError ? error.message : `The agent does not answer: ${String(error)}`);
  }
}

/**
 * @param {string} namespace
 * @param {string} key
 * @param {Explained} explained
 */
function show(namespace, key, explained) {
  find('#key-answer').hidden = false;
  find('#key-facts').replaceChildren(
    card(`In memory of ${explained.nodeId}`, memoryFacts(explained)),
    card('In Redis', redisFacts(explained)),
    card('Whether memory may answer', freshnessFacts(explained)),
  );
  const { log, logError } = explained;
  find('#key-table tbody').replaceChildren(...(log?.events ?? []).map(eventRow));
  find('#key-title').replaceChildren('What happened to ', el('code', {}, `${namespace} ${key}`));
  say(find('#key-note'), logError === '' ? logNote(log) : `The log could not be read: ${logError}`);
}

/** @param {Log | undefined} log */
function logNote(log) {
  if (log === undefined) return 'The log could not be read, because Redis does not answer.';
  const { scanned, complete, writes, invalidations, events } = log;
  const reach = complete
    ? `all ${scanned} events of its partition’s log`
    : `the newest ${scanned} events of its partition’s log`;
  const more = writes + invalidations > events.length ? `; the newest ${events.length} are shown` : '';
  return `${writes} writes and ${invalidations} invalidations in ${reach}${more}. Fills after a miss are not logged.`;
}

/**
 * @param {string} title
 * @param {readonly (readonly [string, string])[]} facts
 */
function card(title, facts) {
  const list = facts.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]);
  return el('div', { class: 'card' }, el('h4', {}, title), el('dl', {}, ...list));
}

/**
 * @param {Explained} explained
 * @returns {[string, string][]}
 */
function memoryFacts({ memory }) {
  if (memory === undefined) return [['Entry', 'none']];
  const { version, absent, tags, heldMs, origin, freshMs } = memory;
  return [
    ['Entry', absent ? 'that there is none' : bytes(memory.bytes)],
    ['Version', version],
    ['Held for', `${duration(heldMs)}, ${originText(origin)}`],
    ['Left', freshMs > 0 ? duration(freshMs) : 'its time is over'],
    ['Tags', tags.length === 0 ? 'none' : tags.join(', ')],
  ];
}

/** @param {string} origin */
function originText(origin) {
  const texts = {
    redis: 'read from Redis',
    own: 'written through this agent',
    event: 'brought by its event',
  };
  return Object.hasOwn(texts, origin) ? texts[/** @type {keyof typeof texts} */ (origin)] : origin;
}

/**
 * @param {Explained} explained
 * @returns {[string, string][]}
 */
function redisFacts({ redis, redisError }) {
  if (redis === undefined) return [['Not known', redisError]];
  const { stored, invalidated, lease } = redis;
  const loading = lease === undefined ? 'nobody' : `somebody, for ${latency(lease.leftMs)} more`;
  if (stored === undefined)
    return [
      ['Entry', 'none'],
      ['Being loaded by', loading],
    ];
  return [
    ['Entry', `${bytes(stored.bytes)}${invalidated ? ', invalid by a newer event' : ''}`],
    ['Version', stored.version],
    ['Left', duration(stored.ttlMs)],
    ['Tags', stored.tags.length === 0 ? 'none' : stored.tags.join(', ')],
    ['Being loaded by', loading],
  ];
}

/**
 * @param {Explained} explained
 * @returns {[string, string][]}
 */
function freshnessFacts({ memory, freshness, rules, partition, queued }) {
  const why = memory?.unansweredBecause ?? '';
  /** @type {[string, string][]} */
  const facts = [
    [
      'Answers',
      memory === undefined ? 'no: it has no entry' : why === '' ? 'yes' : `no: ${why.replaceAll('_', ' ')}`,
    ],
    [
      'Rules',
      `${rules.critical ? 'critical' : rules.eventDriven ? 'events' : 'TTL only'}, TTL ${duration(rules.ttlMs)}`,
    ],
    ['Partition', String(partition)],
  ];
  if (freshness !== undefined)
    facts.push(
      [
        'Lease',
        freshness.leaseMs > 0
          ? `${latency(freshness.leaseMs)} of ${latency(freshness.maxStalenessMs)}`
          : 'none',
      ],
      ['Events waiting', String(freshness.pending)],
    );
  if (queued) facts.push(['Queued', 'a change of it waits for Redis']);
  return facts;
}

/** @param {KeyEvent} event */
function eventRow({ version, eventType, effect, tag, reason, sourceNode, loggedAtUs, eventId }) {
  const at = new Date(loggedAtUs / 1000);
  const effects = {
    put: 'written',
    key: 'invalidated by its key',
    tag: `invalidated by the tag ${tag}`,
    namespace: 'invalidated with its whole namespace',
    maybe_tag: `invalidated if it had the tag ${tag}`,
  };
  const words = Object.hasOwn(effects, effect)
    ? effects[/** @type {keyof typeof effects} */ (effect)]
    : effect;
  const kind = effect === 'put' ? 'put' : 'invalidate';
  return row(
    [
      el(
        'td',
        {},
        el('time', { datetime: at.toISOString() }, at.toLocaleString(undefined, { hour12: false })),
      ),
      el('th', { scope: 'row' }, el('span', { class: `op ${kind}` }, words)),
      eventType.replaceAll('_', ' '),
      reason === '' ? '–' : reason,
      sourceNode,
      version,
    ],
    { 'data-event': eventId, 'data-effect': effect },
  );
}

/**
 * @param {string} selector
 * @returns {HTMLInputElement}
 */
function input(selector) {
  const element = find(selector);
  if (!(element instanceof HTMLInputElement)) throw new Error(`${selector} is no input`);
  return element;
}
