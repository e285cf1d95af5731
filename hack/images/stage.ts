/**
 * Stages what goes into the images: the sources, compiled, and of node_modules only what they import, with what that
 * needs. No developer's tool gets in, and each image has its own packages. Node could run the sources as they are, but
 * what strips their types would stay in memory: a quarter of an idle agent's.
 * Usage: node hack/images/stage.ts FOLDER. Prints the hash of what was staged.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, rmSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { compile, copy, filesIn, ROOT, stageSources } from './staging.ts';

const SOURCES: Readonly<Record<string, readonly string[]>> = {
  agent: ['agent', 'api', 'proto', 'package.json', 'LICENSE'],
  operator: ['operator', 'api', 'proto', 'package.json', 'LICENSE'],
};
/** Fixed times make equal contents equal layers. */
const EPOCH = new Date('2020-01-01T00:00:00Z');

function stage(target: string): void {
  mkdirSync(target, { recursive: true });
  copy('node_modules/node/bin/node', join(target, 'node'));
  chmodSync(join(target, 'node'), 0o755);
  // A quarter of it is symbols for debuggers. Without binutils they stay.
  spawnSync('strip', ['--strip-unneeded', join(target, 'node')]);
  const compiled = compile('hack/images/tsconfig.json');
  for (const [image, sources] of Object.entries(SOURCES))
    stageSources({ folder: join(target, image), sources, compiled });
  rmSync(compiled, { recursive: true });
  for (const file of filesIn(target)) utimesSync(join(target, file), EPOCH, EPOCH);
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
