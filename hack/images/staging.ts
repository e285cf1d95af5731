import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Never read at run time, and often most of a package. Folders only at its top: deeper ones may be code (yaml has dist/doc). */
const DEAD_WEIGHT =
  /(\.[cm]?ts|\.map|\.md|\.markdown|\.tsbuildinfo)$|^node_modules\/(@[^/]+\/)?[^/]+\/(tests?|__tests__|docs?|examples?|\.github)\//;
const UNWANTED_SOURCE = /(\.ts|\.golden\.json|[/\\]__snapshots__[/\\].*)$/;

const dependencies = z.record(z.string(), z.string()).default({});
const lockSchema = z.object({
  packages: z.record(
    z.string(),
    z.looseObject({ dependencies, optionalDependencies: dependencies, peerDependencies: dependencies }),
  ),
});
const lock = lockSchema.parse(JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'))).packages;

/** Puts compiled sources into a folder, and of node_modules only what they import, with what that needs. */
export function stageSources({
  folder,
  sources,
  compiled,
}: {
  readonly folder: string;
  readonly sources: readonly string[];
  /** From {@link compile}. */
  readonly compiled: string;
}): void {
  for (const source of sources) {
    copy(source, join(folder, source), UNWANTED_SOURCE);
    const code = join(compiled, source);
    if (existsSync(code)) cpSync(code, join(folder, source), { recursive: true });
  }
  for (const path of closure(importsIn(folder))) copy(path, join(folder, path), DEAD_WEIGHT);
}

/** @returns a temporary folder with the JavaScript of a project's sources */
export function compile(project: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'edgecache-compiled-'));
  const args = ['--project', join(ROOT, project), '--outDir', folder];
  execFileSync(join(ROOT, 'node_modules/.bin/tsc'), args, { stdio: ['ignore', 'inherit', 'inherit'] });
  return folder;
}

export function copy(from: string, to: string, without = /^$/): void {
  const source = join(ROOT, from);
  cpSync(source, to, {
    recursive: true,
    dereference: true,
    // Nested packages are copied for themselves, where they are needed.
    filter: (path) =>
      !without.test(path.slice(ROOT.length)) && !path.slice(source.length).includes('node_modules'),
  });
}

/** Packages that the sources in a folder import. */
function importsIn(folder: string): Set<string> {
  const packages = new Set<string>();
  for (const file of filesIn(folder).filter((name) => name.endsWith('.js'))) {
    const text = readFileSync(join(folder, file), 'utf8');
    for (const [, specifier = ''] of text.matchAll(/(?:from|import)\s*\(?\s*['"]([^'".][^'"]*)['"]/g)) {
      if (specifier.startsWith('node:')) continue;
      const parts = specifier.split('/');
      packages.add(parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/'));
    }
  }
  return packages;
}

/** Paths in node_modules of the packages and of all that they need, as the lockfile resolves them. */
function closure(roots: Iterable<string>): Set<string> {
  const found = new Set<string>();
  const open = [...roots].map((name) => ({ name, from: '' }));
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const path = resolve(next.name, next.from);
    if (path === undefined || found.has(path) || !isInstalled(path)) continue;
    found.add(path);
    const entry = lock[path];
    // Types are for the compiler, which is not in the image.
    for (const name of Object.keys({
      ...entry?.dependencies,
      ...entry?.optionalDependencies,
      ...entry?.peerDependencies,
    }))
      if (!name.startsWith('@types/')) open.push({ name, from: path });
  }
  return found;
}

function resolve(name: string, from: string): string | undefined {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    const path = at === '' ? `node_modules/${name}` : `${at}/node_modules/${name}`;
    if (path in lock) return path;
    if (at === '') return undefined;
  }
}

function isInstalled(path: string): boolean {
  try {
    return readdirSync(join(ROOT, path)).length > 0;
  } catch {
    return false; // optional, and not for this platform
  }
}

/** Paths below a folder, in order. */
export function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}
