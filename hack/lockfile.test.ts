import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { z } from 'zod';

const read = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../${name}`, import.meta.url), 'utf8'));
const versions = z.record(z.string(), z.string());
const manifest = z
  .object({
    dependencies: versions,
    devDependencies: versions,
    allowScripts: z.record(z.string(), z.boolean()),
  })
  .parse(read('package.json'));
const lock = z
  .object({
    packages: z.record(
      z.string(),
      z.object({
        integrity: z.string().optional(),
        link: z.boolean().optional(),
        hasInstallScript: z.boolean().optional(),
        optional: z.boolean().optional(),
      }),
    ),
  })
  .parse(read('package-lock.json'));

/** What others have written is what it was when it was looked at. */
it('names one version of each dependency, never a range', () => {
  for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }))
    expect([name, version]).toEqual([name, expect.stringMatching(/^\d+\.\d+\.\d+(-[\w.]+)?$/)]);
});

it('has a checksum of everything that must be installed', () => {
  // Of packages for other platforms there may be no more than their names: see complete-lockfile.ts.
  const installed = Object.entries(lock.packages).filter(
    ([path, { link, optional, integrity }]) =>
      path !== '' && link !== true && (optional !== true || integrity !== undefined),
  );
  expect(installed.length).toBeGreaterThan(50);
  for (const [path, { integrity }] of installed)
    expect([path, integrity]).toEqual([path, expect.stringMatching(/^sha512-[A-Za-z0-9+/]{86}==$/)]);
});

it('says of each package with an install script whether it may run it', () => {
  const withScripts = Object.entries(lock.packages)
    .filter(([, { hasInstallScript }]) => hasInstallScript === true)
    .map(([path]) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length));
  for (const name of withScripts)
    expect([name, typeof manifest.allowScripts[name]]).toEqual([name, 'boolean']);
});
