import { existsSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import type { MarkdownPage } from './markdown-page.ts';

/** Pages by their path from the root of the repository. */
export type Pages = ReadonlyMap<string, MarkdownPage>;

/** Where everything begins. */
const START = 'README.md';

/** Links within the repository that lead nowhere, as `file:line: what`. */
export function brokenLinks(root: string, pages: Pages): string[] {
  return [...pages].flatMap(([path, page]) =>
    page.links.flatMap(({ target, line }) => {
      const problem = problemOf(root, pages, path, target);
      return problem === undefined ? [] : [`${path}:${line}: ${problem}`];
    }),
  );
}

function problemOf(root: string, pages: Pages, path: string, target: string): string | undefined {
  const found = resolve(path, target);
  if (found === undefined) return undefined;
  if (found.path.startsWith('..')) return `${target} leads out of the repository`;
  if (!existsSync(join(root, found.path))) return `${target}: there is no ${found.path}`;
  if (found.anchor === '') return undefined;
  const page = pages.get(found.path);
  // Lines of sources are not checked, they move.
  if (page === undefined) return undefined;
  return page.anchors.has(found.anchor) ? undefined : `${target}: ${found.path} has no heading for it`;
}

/** File and anchor that a link means; nothing for what is elsewhere. */
function resolve(path: string, target: string): { path: string; anchor: string } | undefined {
  if (/^[a-z][a-z0-9+.-]*:/i.test(target)) return undefined;
  const [file = '', anchor = ''] = target.split('#');
  const plain = decodeURIComponent(file);
  if (plain === '') return { path, anchor };
  return { path: normalize(plain.startsWith('/') ? plain.slice(1) : join(dirname(path), plain)), anchor };
}

/** Pages that no chain of links from the README leads to. */
export function unreachable(root: string, pages: Pages): string[] {
  const seen = new Set([START]);
  const open = [START];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    for (const { target } of pages.get(path)?.links ?? []) {
      const next = resolve(path, target)?.path;
      const page = next === undefined ? undefined : pageAt(root, pages, next);
      if (page === undefined || seen.has(page)) continue;
      seen.add(page);
      open.push(page);
    }
  }
  return [...pages.keys()]
    .filter((path) => !seen.has(path))
    .map((path) => `${path}: no link leads here from ${START}`);
}

/** A link to a folder shows its README. */
function pageAt(root: string, pages: Pages, path: string): string | undefined {
  if (pages.has(path)) return path;
  const isFolder = existsSync(join(root, path)) && statSync(join(root, path)).isDirectory();
  const readme = join(path, 'README.md');
  return isFolder && pages.has(readme) ? readme : undefined;
}

/** Commands of npm that pages name and package.json has not. */
export function unknownScripts(pages: Pages, scripts: ReadonlySet<string>): string[] {
  return [...pages].flatMap(([path, { lines }]) =>
    lines.flatMap((line, i) =>
      [...line.matchAll(/\bnpm run (?:(?:-s|--silent) )?([a-z][\w:-]*)/g)]
        .filter(([, name = '']) => !scripts.has(name))
        .map(([command]) => `${path}:${i + 1}: ${command}: package.json has no such script`),
    ),
  );
}
