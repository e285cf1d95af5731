/**
 * Checks the documentation: links and anchors lead somewhere, every page can be reached from the README, commands and tests
 * exist, and TypeScript and tiers in it are right.
 * Usage: node hack/check-docs.ts
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { brokenLinks, unknownScripts, unreachable } from './docs/links.ts';
import { wrongManifests } from './docs/manifests.ts';
import { MarkdownPage } from './docs/markdown-page.ts';
import { missingTests } from './docs/named-tests.ts';
import { wrongExcerpts, wrongSnippets } from './docs/snippets.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));

/** What is wrong, as `file:line: what`. */
export function documentationProblems(root = ROOT): string[] {
  const paths = globSync('**/*.md', { cwd: root, exclude: ['**/node_modules/**', 'node_modules'] }).sort();
  const pages = new Map(
    paths.map((path) => [path, new MarkdownPage(readFileSync(join(root, path), 'utf8'))]),
  );
  const { scripts } = z
    .object({ scripts: z.record(z.string(), z.string()) })
    .parse(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')));
  return [
    ...brokenLinks(root, pages),
    ...unreachable(root, pages),
    ...unknownScripts(pages, new Set(Object.keys(scripts))),
    ...missingTests(root, pages),
    ...wrongManifests(pages),
    ...wrongExcerpts(root, pages),
    ...wrongSnippets(root, pages),
  ];
}

if (import.meta.main) {
  const problems = documentationProblems();
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  if (problems.length > 0) process.exitCode = 1;
}
