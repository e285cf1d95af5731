import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Pages } from './links.ts';
import type { CodeBlock, MarkdownPage } from './markdown-page.ts';

/** What snippets may import. */
const IMPORTABLE = ['agent', 'api', 'client', 'examples', 'proto', 'hack', 'node_modules', 'package.json'];
/** Generated pages show signatures, which are no code. */
const SIGNATURES = 'docs/reference/';

/**
 * Type-checks the TypeScript of pages. All of a page is one module, in the order in which it stands there; what it takes
 * for granted is declared in comments `<!-- prelude … -->`. Lines keep their numbers, so errors say where they are.
 * @returns what is wrong, as `file:line: what`
 */
export function wrongSnippets(root: string, pages: Pages): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'edgecache-docs-'));
  try {
    for (const name of IMPORTABLE) symlinkSync(join(root, name), join(folder, name));
    const files = new Map<string, string>();
    for (const [path, page] of pages) {
      const text = path.startsWith(SIGNATURES) ? undefined : moduleOf(page);
      if (text === undefined) continue;
      const file = `${path.replaceAll('/', '--')}.ts`;
      files.set(file, path);
      writeFileSync(join(folder, file), text);
    }
    return check(root, folder, files);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function check(root: string, folder: string, files: ReadonlyMap<string, string>): string[] {
  if (files.size === 0) return [];
  const config = {
    extends: join(root, 'tsconfig.json'),
    include: [...files.keys()],
    compilerOptions: { typeRoots: ['node_modules/@types'] },
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  const { stdout, status } = spawnSync(
    join(root, 'node_modules/.bin/tsc'),
    ['-p', folder, '--pretty', 'false'],
    { encoding: 'utf8', cwd: folder },
  );
  if (status === 0) return [];
  const lines = stdout.trim().split('\n');
  return lines.map((line) => {
    const [, file = '', at = '', what = ''] = /^([^(]+)\((\d+),\d+\): (.*)$/.exec(line) ?? [];
    return files.has(file) ? `${files.get(file)}:${at}: ${what}` : line;
  });
}

const isTypeScript = ({ language, from }: CodeBlock) =>
  (language === 'ts' || language === 'typescript') && from === undefined;

/** The TypeScript of a page, each line where it stands in the page; nothing where there is none. */
export function moduleOf({ lines, blocks }: MarkdownPage): string | undefined {
  const mine = blocks.filter(isTypeScript);
  if (mine.length === 0) return undefined;
  const out = lines.map(() => '');
  for (const { text, line } of mine)
    for (const [i, code] of text.split('\n').entries()) out[line - 1 + i] = code;
  let isPrelude = false;
  for (const [i, line] of lines.entries()) {
    if (isPrelude && line.startsWith('-->')) isPrelude = false;
    else if (isPrelude) out[i] = line;
    else if (line.trim() === '<!-- prelude') isPrelude = true;
  }
  // A module, though it may import nothing.
  return `${out.join('\n')}\nexport {};\n`;
}

/** Blocks that are said to be from a file, and are not. */
export function wrongExcerpts(root: string, pages: Pages): string[] {
  return [...pages].flatMap(([path, { blocks }]) =>
    blocks.flatMap(({ from, text, line }) => {
      if (from === undefined || contains(readFileSync(join(root, from), 'utf8'), text)) return [];
      return [`${path}:${line}: this is not in ${from}, as the comment before it says`];
    }),
  );
}

/** Wherever it is indented to. */
function contains(file: string, excerpt: string): boolean {
  const flat = (text: string) =>
    text
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '')
      .join('\n');
  return flat(file).includes(flat(excerpt));
}
