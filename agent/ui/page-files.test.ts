import { readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { PageFiles } from './page-files.ts';

const files = new PageFiles();

it('every file of the page is served, and nothing beside', () => {
  const there = readdirSync(new URL('./page', import.meta.url)).filter((name) => name !== 'tsconfig.json');
  const unserved = there.filter((name) => files.get(name === 'index.html' ? '' : name) === undefined);
  expect(unserved).toEqual([]);
});

it.each(['../ui.ts', 'constructor', '__proto__', 'tsconfig.json', 'index.html/', '%2e%2e/ui.ts'])(
  'there is no %s',
  (name) => {
    expect(files.get(name)).toBeUndefined();
  },
);

it('the page asks for nothing from elsewhere, and has nothing inline', () => {
  const html = files.get('')?.bytes.toString() ?? '';
  expect(html).not.toMatch(/\b(?:src|href)="(?:[a-z]+:)?\/\//);
  expect(html).not.toMatch(/<script(?![^>]*\bsrc=)/);
  expect(html).not.toMatch(/<style|\sstyle=|\son[a-z]+=/);
});
