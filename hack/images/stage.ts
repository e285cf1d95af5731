/**
 * Stages what goes into the images: the sources, compiled, and of node_modules only what they import, with what that
 * needs. No developer's tool gets in, and each image has its own packages. Node could run the sources as they are, but
 * what strips their types would stay in memory: a quarter of an idle agent's.
 * Usage: node hack/images/stage.ts FOLDER. Prints the hash of what was staged.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const SOURCES: Readonly<Record<string, readonly string[]>> = {
  agent: ['agent', 'api', 'proto', 'package.json', 'LICENSE'],
  operator: ['operator', 'api', 'proto', 'package.json', 'LICENSE'],
};
/** Never read at run time, and often most of a package. Folders only at its top: deeper ones may be code (yaml has dist/doc). */
const DEAD_WEIGHT =
  /(\.d\.[cm]?ts|\.map|\.md|\.markdown|\.tsbuildinfo)$|^node_modules\/(@[^/]+\/)?[^/]+\/(tests?|__tests__|docs?|examples?|\.github)\//;
const UNWANTED_SOURCE = /(\.ts|\.golden\.json|[/\\]__snapshots__[/\\].*)$/;
/** Fixed times make equal contents equal layers. */
const EPOCH = new Date('2020-01-01T00:00:00Z');

const dependencies = z.record(z.string(), z.string()).default({});
const lockSchema = z.object({
  packages: z.record(
    z.string(),
    z.looseObject({ dependencies, optionalDependencies: dependencies, peerDependencies: dependencies }),
  ),
});
const lock = lockSchema.parse(JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'))).packages;

function stage(target: string): void {
  mkdirSync(target, { recursive: true });
  copy('node_modules/node/bin/node', join(target, 'node'));
  chmodSync(join(target, 'node'), 0o755);
  // A quarter of it is symbols for debuggers. Without binutils they stay.
  spawnSync('strip', ['--strip-unneeded', join(target, 'node')]);
  const compiled = compile();
  for (const [image, sources] of Object.entries(SOURCES)) {
    const folder = join(target, image);
    for (const source of sources) {
      copy(source, join(folder, source), UNWANTED_SOURCE);
      const code = join(compiled, source);
      if (existsSync(code)) cpSync(code, join(folder, source), { recursive: true });
    }
    for (const path of closure(importsIn(folder))) copy(path, join(folder, path), DEAD_WEIGHT);
  }
  rmSync(compiled, { recursive: true });
  for (const file of filesIn(target)) utimesSync(join(target, file), EPOCH, EPOCH);
}

/** @returns a temporary folder with the JavaScript of all sources */
function compile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'edgecache-compiled-'));
  const args = ['--project', join(ROOT, 'hack/images/tsconfig.json'), '--outDir', folder];
  execFileSync(join(ROOT, 'node_modules/.bin/tsc'), args, { stdio: ['ignore', 'inherit', 'inherit'] });
  return folder;
}

function copy(from: string, to: string, without = /^$/): void {
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

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

function hashOf(folder: string): string {
  const hash = createHash('sha256').update(readFileSync(join(ROOT, 'hack/images/Dockerfile')));
  for (const file of filesIn(folder)) hash.update(`${file}\0`).update(readFileSync(join(folder, file)));
  return hash.digest('hex').slice(0, 10);
}

const target = process.argv[2];
if (target === undefined) {
  console.error('Usage: node hack/images/stage.ts FOLDER');
  process.exit(2);
}
rmSync(target, { recursive: true, force: true });
stage(target);
console.log(hashOf(target));
