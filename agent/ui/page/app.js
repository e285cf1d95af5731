// @ts-check
import { ApiError, ask } from './api.js';
import { drawLines } from './chart.js';
import { find, numberCell, row, say } from './dom.js';
import { followEvents } from './events.js';
import { showFleet, watchFilter } from './fleet.js';
import { count, duration, percent } from './format.js';
import { answerKeys, offerNamespaces } from './key.js';
import { showNamespaces } from './namespaces.js';
import { signInAfter } from './sign-in.js';

/** Agents tell of themselves every five seconds; what is this agent’s own moves sooner. */
const EVERY_MS = 2_000;

/**
 * @typedef {object} Point
 * @property {number} agoMs
 * @property {number} lookupsPerSecond
 * @property {number} eventsPerSecond
 * @property {number} l1HitRatio
 * @property {number} hitRatio
 */

let lastAnswerAt = 0;

async function refresh() {
  try {
    const [fleet, agent] = await Promise.all([ask('fleet'), ask('agent')]);
    lastAnswerAt = Date.now();
    showFleet(fleet);
    showHistory(agent.history);
    showNamespaces(agent.namespaces);
    offerNamespaces(agent.namespaces.map((/** @type {{ name: string }} */ { name }) => name));
    say(find('#pulse'), `${agent.node}, ${agent.region}, ${agent.tier}`);
    showProblems([fleet.problem, ...agent.redis.problems].filter((problem) => problem !== ''));
    document.body.classList.remove('old');
  } catch (error) {
    if (!(await signInAfter(error))) showSilence(error);
  }
}

/**
 * What stands on the page must not be taken for what is so.
 * @param {unknown} error
 */
function showSilence(error) {
  const why = error instanceof Error ? error.message : String(error);
  const since = lastAnswerAt === 0 ? '' : ` What is below is ${duration(Date.now() - lastAnswerAt)} old.`;
  document.body.classList.add('old');
  say(find('#pulse'), 'no answer');
  const what = error instanceof ApiError ? 'This agent refuses to answer' : 'This agent does not answer';
  showProblems([`${what} (${why}).${since}`]);
}

/** @param {readonly string[]} problems */
function showProblems(problems) {
  const banner = find('#banner');
  say(banner, problems.join(' · '));
  banner.hidden = problems.length === 0;
}

/** @param {readonly Point[]} history */
function showHistory(history) {
  const agoMs = history.map((point) => point.agoMs);
  const measured = (/** @type {(point: Point) => number} */ pick) =>
    history.map((point) => (point.lookupsPerSecond === 0 ? undefined : pick(point)));
  drawLines(find('#ratio-chart'), {
    title: 'Answered from memory, and by the cache at all',
    agoMs,
    top: 1,
    format: (share) => `${Math.round(share * 100)} %`,
    series: [
      { name: 'L1+L2', className: 'second', values: measured(({ hitRatio }) => hitRatio) },
      { name: 'L1', className: 'first', values: measured(({ l1HitRatio }) => l1HitRatio) },
    ],
  });
  drawLines(find('#load-chart'), {
    title: 'Lookups and events a second',
    agoMs,
    format: count,
    series: [
      { name: 'lookups', className: 'first', values: history.map((point) => point.lookupsPerSecond) },
      { name: 'events', className: 'third', values: history.map((point) => point.eventsPerSecond) },
    ],
  });
  find('#history-table tbody').replaceChildren(...history.toReversed().map(historyRow));
}

/** @param {Point} point */
function historyRow({ agoMs, lookupsPerSecond, eventsPerSecond, l1HitRatio, hitRatio }) {
  const ratio = (/** @type {number} */ share) => (lookupsPerSecond === 0 ? '–' : percent(share));
  return row([
    duration(agoMs),
    numberCell(ratio(l1HitRatio)),
    numberCell(ratio(hitRatio)),
    numberCell(count(lookupsPerSecond)),
    numberCell(count(eventsPerSecond)),
  ]);
}

async function run() {
  // One that nobody looks at asks nothing.
  if (!document.hidden) await refresh();
  setTimeout(run, EVERY_MS);
}

document.addEventListener('visibilitychange', () => {
  if (!document.hidden) void refresh();
});
watchFilter();
followEvents();
answerKeys();
void run();
