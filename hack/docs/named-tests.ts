import { globSync } from 'node:fs';
import { basename } from 'node:path';
import type { Pages } from './links.ts';

/** Tests that pages name and that are not there: a promise that says how it is tested must be tested so. */
export function missingTests(root: string, pages: Pages): string[] {
  const paths = new Set(
    globSync('**/*.test.ts', { cwd: root, exclude: ['**/node_modules/**', 'node_modules'] }),
  );
  const names = new Set([...paths].map((path) => basename(path)));
  return [...pages].flatMap(([path, { lines }]) =>
    lines.flatMap((line, i) =>
      [...line.matchAll(/`([\w./-]+\.test\.ts)`/g)]
        .map(([, name = '']) => name)
        .filter((name) => !(name.includes('/') ? paths : names).has(name))
        .map((name) => `${path}:${i + 1}: there is no test ${name}`),
    ),
  );
}
