import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { manifestOf, type Packed, packCli } from './pack.ts';

const { version } = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')));
const NAME = `edgecache-cli-${version}`;
let folder: string;
let packed: Packed;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'packed-cli-'));
  packed = packCli(folder, 'https://example.org/releases');
  execFileSync('tar', ['-xzf', packed.archive, '-C', folder]);
}, 240_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What krew's own validation asks of a manifest (sigs.k8s.io/krew, internal/index/validation), no field beyond it. */
const krewPlugin = z.strictObject({
  apiVersion: z.literal('krew.googlecontainertools.github.com/v1alpha2'),
  kind: z.literal('Plugin'),
  metadata: z.strictObject({ name: z.string().regex(/^[\w-]+$/) }),
  spec: z.strictObject({
    version: z.string().regex(/^v\d+\.\d+\.\d+(-[\w.-]+)?$/),
    homepage: z.url(),
    shortDescription: z
      .string()
      .min(1)
      .max(60)
      .regex(/^[^\n\r]+$/),
    description: z.string().min(1),
    caveats: z.string().min(1),
    platforms: z
      .array(
        z.strictObject({
          selector: z.strictObject({
            matchExpressions: z.array(
              z.strictObject({
                key: z.enum(['os', 'arch']),
                operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
                values: z.array(z.string()).min(1),
              }),
            ),
          }),
          uri: z.url({ protocol: /^https$/ }),
          sha256: z.string().regex(/^[a-f0-9]{64}$/),
          bin: z.string().regex(/^(?!\/)(?!.*\.\.)/),
          files: z.array(z.strictObject({ from: z.string().min(1), to: z.string().min(1) })).min(1),
        }),
      )
      .min(1),
  }),
});

/** Runs what was packed, as a shell would. */
function runPacked(name: string, args: readonly string[], env: Record<string, string> = {}) {
  const bin = join(folder, NAME, 'bin', name);
  const path = `${dirname(process.execPath)}:/usr/bin:/bin`;
  return spawnSync(bin, args, { encoding: 'utf8', env: { PATH: path, HOME: folder, ...env } });
}

it('what is packed runs away from this repository, under both of its names and through links', () => {
  for (const name of ['edgecache', 'kubectl-edgecache']) {
    const { stdout, stderr, status } = runPacked(name, ['--help']);
    expect([stderr, status]).toEqual(['', 0]);
    expect(stdout).toContain('Usage: edgecache COMMAND');
    expect(stdout).toContain('doctor');
  }
  const bin = join(folder, NAME, 'bin');
  const env = { PATH: `${bin}:${dirname(process.execPath)}:/usr/bin:/bin` };
  const asked = spawnSync(join(bin, 'kubectl_complete-edgecache'), ['do'], { encoding: 'utf8', env });
  expect(asked.stdout).toBe('doctor\n:4\n');
  symlinkSync(join(folder, NAME, 'bin/kubectl-edgecache'), join(folder, 'linked'));
  const { stdout } = spawnSync(join(folder, 'linked'), ['--version'], { encoding: 'utf8' });
  expect(stdout).toBe(`${version}\n`);
});

it('what is packed has all that it imports: it asks an agent, and a cluster', () => {
  const agent = runPacked('edgecache', ['health', '--address', '127.0.0.1:1', '--timeout', '200ms']);
  expect([agent.status, agent.stderr]).toEqual([1, '']);
  expect(agent.stdout).toMatch(/127\.0\.0\.1:1\s+unreachable/);
  const cluster = runPacked('edgecache', ['tiers', '--context', 'nowhere']);
  expect([cluster.status, cluster.stderr]).toEqual([
    1,
    expect.stringContaining('--context: there is no nowhere in the kubeconfig'),
  ]);
});

it('without Node, or with one that is too old, it says what it needs', () => {
  const { status, stderr } = runPacked('edgecache', ['--help'], { EDGECACHE_NODE: '/nowhere/node' });
  expect([status, stderr]).toEqual([127, expect.stringContaining('install Node.js 22 or newer')]);
  const old = join(folder, 'old-node');
  writeFileSync(old, '#!/bin/sh\necho v20.11.1\n', { mode: 0o755 });
  const aged = runPacked('edgecache', ['--help'], { EDGECACHE_NODE: old });
  expect([aged.status, aged.stderr]).toEqual([
    127,
    expect.stringContaining('is Node.js v20.11.1: it needs 22'),
  ]);
});

it('the manifest is one that krew takes, and names the archive by its checksum', () => {
  const plugin = krewPlugin.parse(parse(readFileSync(packed.manifest, 'utf8')));
  const [platform] = plugin.spec.platforms;
  expect(platform?.uri).toBe(`https://example.org/releases/v${version}/${NAME}.tar.gz`);
  expect(platform?.sha256).toBe(createHash('sha256').update(readFileSync(packed.archive)).digest('hex'));
  expect(readFileSync(`${packed.archive}.sha256`, 'utf8')).toBe(`${packed.sha256}  ${NAME}.tar.gz\n`);
  const entries = execFileSync('tar', ['-tzf', packed.archive], { encoding: 'utf8' }).split('\n');
  expect(entries).toContain(`${NAME}/${platform?.bin}`);
  // Nothing of the agent, and no sources.
  expect(entries.filter((name) => /\/lib\/agent\/|\.ts$/.test(name))).toEqual([]);
});

it('a place in the manifest that nobody fills is an error', () => {
  expect(() => manifestOf({ version: '1.0.0', uri: 'https://example.org' })).toThrow('{{sha256}}');
});
