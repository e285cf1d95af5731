/**
 * Writes docs/reference/ from the sources. With --check it writes nothing, and fails where a page differs.
 * Usage: node hack/generate-reference.ts [--check]
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { agentConfigPage } from './reference/agent-config.ts';
import { alertsPage } from './reference/alerts.ts';
import { chartPage } from './reference/chart.ts';
import { clientPage } from './reference/client.ts';
import { commandsPage } from './reference/commands.ts';
import { type Page, pageText, table } from './reference/markdown.ts';
import { metricsPage } from './reference/metrics.ts';
import { tierPage } from './reference/tier.ts';
import { wirePage } from './reference/wire.ts';

const ROOT = new URL('../', import.meta.url);
const FOLDER = new URL('docs/reference/', ROOT);

/** Text of each file of docs/reference, as it should be. */
export async function referenceFiles(): Promise<Map<string, string>> {
  const pages = [
    tierPage(),
    chartPage(new URL('charts/edgecache/', ROOT)),
    agentConfigPage(),
    wirePage(),
    clientPage(ROOT),
    await commandsPage(),
    await metricsPage(),
    alertsPage(ROOT),
  ];
  return new Map([
    ...pages.map((page) => [`${page.name}.md`, pageText(page)] as const),
    ['README.md', indexText(pages)] as const,
  ]);
}

function indexText(pages: readonly Page[]): string {
  const rows = pages.map(({ name, title, summary, source }) => [`[${title}](${name}.md)`, summary, source]);
  const errors = [
    '[Error codes](../errors.md)',
    'every code, with its remedy',
    'written by hand; a test holds it to the sources',
  ];
  const intro = 'Made from the sources by `npm run generate`, and checked by `npm test`.';
  return pageText({
    name: 'README',
    title: 'Reference',
    summary: '',
    source: 'the pages beside it',
    body: `${intro}\n\n${table(['page', 'has', 'made from'], [...rows, errors])}`,
  });
}

/** Files that are not as they should be, or should not be. */
export async function outdatedReference(): Promise<string[]> {
  const files = await referenceFiles();
  const names = new Set([...files.keys(), ...present()]);
  return [...names]
    .filter((name) => files.get(name) !== textOf(name))
    .map((name) => `docs/reference/${name}`);
}

function present(): string[] {
  try {
    return readdirSync(FOLDER);
  } catch {
    return [];
  }
}

function textOf(name: string): string | undefined {
  try {
    return readFileSync(new URL(name, FOLDER), 'utf8');
  } catch {
    return undefined;
  }
}

if (import.meta.main) {
  if (process.argv.includes('--check')) {
    const outdated = await outdatedReference();
    if (outdated.length > 0) {
      process.stderr.write(`${outdated.join(', ')}: not as the sources are; run: npm run generate\n`);
      process.exitCode = 1;
    }
  } else {
    rmSync(FOLDER, { recursive: true, force: true });
    mkdirSync(FOLDER, { recursive: true });
    for (const [name, text] of await referenceFiles()) writeFileSync(new URL(name, FOLDER), text);
  }
}
