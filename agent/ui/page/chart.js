// @ts-check
import { el, svg } from './dom.js';

/**
 * @typedef {object} Series
 * @property {string} name
 * @property {string} className its colour, of the style sheet
 * @property {readonly (number | undefined)[]} values undefined where there was nothing to measure
 */

/**
 * @typedef {object} ChartOptions
 * @property {string} title
 * @property {readonly number[]} agoMs of each value
 * @property {readonly Series[]} series
 * @property {number} [top] highest value of the axis; by the values where it is not given
 * @property {(value: number) => string} format
 */

/** In pixels of the page, so that text keeps its size on a phone. */
const LEAST_WIDTH = 260;
const HEIGHT = 200;
const LEFT = 46;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 24;
/** What the axis may span: the shortest that has all that there is. */
const SPANS_MINUTES = [1, 3, 6, 15];
const TICKS = 3;
const LINES = 4;

/**
 * Draws lines over the last quarter of an hour into a figure.
 * @param {HTMLElement} figure
 * @param {ChartOptions} options
 */
export function drawLines(figure, options) {
  const { title, agoMs, series, format } = options;
  const top = options.top ?? niceTop(series);
  const width = Math.max(LEAST_WIDTH, figure.clientWidth);
  const oldest = Math.max(0, ...agoMs) / 60_000;
  const span = SPANS_MINUTES.find((minutes) => minutes >= oldest) ?? SPANS_MINUTES.at(-1) ?? 1;
  const x = (/** @type {number} */ ms) =>
    LEFT + (1 - Math.min(1, ms / 60_000 / span)) * (width - LEFT - RIGHT);
  const y = (/** @type {number} */ value) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
  const picture = svg('svg', {
    viewBox: `0 0 ${width} ${HEIGHT}`,
    role: 'img',
    'aria-label': `${title}: ${summary(series, format)}`,
  });
  for (let i = 0; i <= LINES; i++) {
    const value = (top * i) / LINES;
    picture.append(
      svg('line', { class: 'grid', x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }),
      svg('text', { class: 'tick', x: LEFT - 6, y: y(value) + 4, 'text-anchor': 'end' }, format(value)),
    );
  }
  for (let i = 0; i <= TICKS; i++) {
    const minutes = (span * i) / TICKS;
    const anchor = i === 0 ? 'end' : i === TICKS ? 'start' : 'middle';
    const at = { class: 'tick', x: x(minutes * 60_000), y: HEIGHT - 6, 'text-anchor': anchor };
    picture.append(svg('text', at, i === 0 ? 'now' : `−${ago(minutes)}`));
  }
  for (const { className, values } of series) {
    const path = pathOf(values, (i) => x(agoMs[i] ?? 0), y);
    if (path !== '') picture.append(svg('path', { class: `line ${className}`, d: path }));
  }
  figure.replaceChildren(legend(title, series, format), picture);
}

/**
 * A line with gaps where there was nothing to measure; one point alone is a dot.
 * @param {readonly (number | undefined)[]} values
 * @param {(i: number) => number} x
 * @param {(value: number) => number} y
 */
function pathOf(values, x, y) {
  let path = '';
  let isOpen = false;
  values.forEach((value, i) => {
    if (value === undefined) isOpen = false;
    else {
      path += isOpen ? 'L' : 'M';
      path += `${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
      if (!isOpen && values[i + 1] === undefined) path += 'h0.1';
      isOpen = true;
    }
  });
  return path;
}

/**
 * @param {string} title
 * @param {readonly Series[]} series
 * @param {(value: number) => string} format
 */
function legend(title, series, format) {
  const keys = series.map(({ name, className, values }) => {
    const last = values.at(-1);
    const text = last === undefined ? name : `${name} ${format(last)}`;
    return el('li', {}, el('span', { class: `swatch ${className}`, 'aria-hidden': 'true' }), text);
  });
  return el('figcaption', {}, el('strong', {}, title), el('ul', {}, ...keys));
}

/**
 * @param {readonly Series[]} series
 * @param {(value: number) => string} format
 */
function summary(series, format) {
  const parts = series.map(({ name, values }) => {
    const known = values.filter((value) => value !== undefined);
    const last = known.at(-1);
    if (last === undefined) return `${name} nothing measured yet`;
    return `${name} now ${format(last)}, between ${format(Math.min(...known))} and ${format(Math.max(...known))}`;
  });
  return parts.join('; ');
}

/**
 * The next of 1, 2, 4, 8 times a power of ten, which four lines divide evenly.
 * @param {readonly Series[]} series
 */
function niceTop(series) {
  const highest = Math.max(...series.flatMap(({ values }) => values.map((value) => value ?? 0)), 0);
  if (highest <= 0) return LINES;
  const power = 10 ** Math.floor(Math.log10(highest));
  return [1, 2, 4, 8, 10].map((step) => step * power).find((value) => value >= highest) ?? highest;
}

/** @param {number} minutes */
function ago(minutes) {
  return Number.isInteger(minutes) ? `${minutes} min` : `${Math.round(minutes * 60)} s`;
}
