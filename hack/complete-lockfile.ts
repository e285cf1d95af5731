/**
 * Completes package-lock.json with the optional platform packages that the registry in use did not offer.
 *
 * npm leaves such packages out of the lockfile and then refuses `npm ci` because they are missing
 * (npm/cli#4828 and kin). An entry with `os` and `cpu` is enough for npm to know that it may skip them.
 * Run after each `npm install` that changes dependencies: `npm run lockfile`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';

const entrySchema = z.looseObject({
  dev: z.boolean().optional(),
  optionalDependencies: z.record(z.string(), z.string()).optional(),
});
const lockSchema = z.looseObject({ packages: z.record(z.string(), entrySchema) });

const OS = [
  'aix',
  'android',
  'darwin',
  'freebsd',
  'linux',
  'netbsd',
  'openbsd',
  'openharmony',
  'sunos',
  'win32',
];
const CPU = [
  'arm64',
  'armv7',
  'arm',
  'ia32',
  'x64',
  'loong64',
  'mips64el',
  'ppc64',
  'riscv64',
  's390x',
  'wasm32',
];

const file = new URL('../package-lock.json', import.meta.url);
const lock = lockSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
let added = 0;
for (const entry of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const path = `node_modules/${name}`;
    if (path in lock.packages) continue;
    const words = name.split(/[/.-]/);
    const os = OS.find((candidate) => words.includes(candidate));
    const cpu = CPU.find((candidate) => words.includes(candidate));
    if (cpu === undefined) continue;
    lock.packages[path] = {
      version,
      cpu: [cpu === 'armv7' ? 'arm' : cpu],
      ...(entry.dev ? { dev: true } : {}),
      optional: true,
      // wasm builds name no system: an impossible pair keeps npm from fetching what is not there.
      os: [os ?? 'none'],
    };
    added += 1;
  }
}
const sorted = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(file, `${JSON.stringify({ ...lock, packages: sorted }, null, 2)}\n`);
process.stdout.write(`package-lock.json: ${added} platform packages added\n`);
