// @ts-check

/** @typedef {Node | string | number} Child */

/**
 * An element of the page.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string>} [attributes]
 * @param {...Child} children
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

/**
 * @param {keyof SVGElementTagNameMap} tag
 * @param {Record<string, string | number>} [attributes]
 * @param {...Child} children
 */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

/**
 * An element that the page has. @throws where it has not, which is an error of the page itself.
 * @param {string} selector
 */
export function find(selector) {
  const element = document.querySelector(selector);
  if (!(element instanceof HTMLElement)) throw new Error(`the page has no ${selector}`);
  return element;
}

/**
 * Shows a text, and touches the page only where it differs: so that a screen reader does not read it again.
 * @param {HTMLElement} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * A row of a table.
 * @param {readonly (Child | HTMLTableCellElement)[]} cells the first one names the row
 * @param {Record<string, string>} [attributes]
 */
export function row(cells, attributes = {}) {
  return el(
    'tr',
    attributes,
    ...cells.map((cell, i) => {
      if (cell instanceof HTMLTableCellElement) return cell;
      return i === 0 ? el('th', { scope: 'row' }, cell) : el('td', {}, cell);
    }),
  );
}

/** @param {...Child} children */
export function numberCell(...children) {
  return el('td', { class: 'number' }, ...children);
}

/**
 * A share of something, drawn behind its text.
 * @param {string} text
 * @param {number} share from 0 to 1
 */
export function meterCell(text, share) {
  const bar = el('span', { class: 'meter', 'aria-hidden': 'true' });
  bar.style.setProperty('--share', String(Math.min(1, Math.max(0, share))));
  return numberCell(el('span', {}, text), bar);
}

/**
 * Makes these the children, and leaves those alone that are in their place already: they keep their focus.
 * @param {HTMLElement} parent
 * @param {readonly HTMLElement[]} wanted
 */
export function sync(parent, wanted) {
  const stay = new Set(wanted);
  for (const child of [...parent.children])
    if (!(child instanceof HTMLElement && stay.has(child))) child.remove();
  wanted.forEach((child, i) => {
    const there = parent.children[i] ?? null;
    if (there !== child) parent.insertBefore(child, there);
  });
}
