import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'edgecache-stage-'));
  execFileSync(process.execPath, [here('stage.ts'), folder]);
}, 240_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each([
  ['agent', ['agent/main.js', '--help'], 'Starts a cache agent'],
  ['operator', ['operator/lookup-check.js'], 'Usage: node operator/lookup-check.js'],
])(
  'what is staged for the %s image runs by itself',
  (image, args, text) => {
    const { stdout, stderr } = spawnSync(process.execPath, args, {
      cwd: join(folder, image),
      encoding: 'utf8',
      timeout: 30_000,
    });
    expect(stdout + stderr).toContain(text);
    expect(stderr).not.toContain('MODULE_NOT_FOUND');
  },
  30_000,
);

test('the agent’s image can trace: what it loads for that alone is there', () => {
  // Somewhere it cannot listen, so it ends by itself.
  const { stdout, stderr } = spawnSync(process.execPath, ['agent/main.js'], {
    cwd: join(folder, 'agent'),
    encoding: 'utf8',
    timeout: 30_000,
    env: {
      PATH: process.env['PATH'] ?? '',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
      CACHE_GRPC_ADDRESS: '192.0.2.1:1',
    },
  });
  expect(stdout + stderr).not.toContain('MODULE_NOT_FOUND');
  expect(stdout).toContain('traces are on');
  expect(stdout).toContain('EC_LISTEN_FAILED');
}, 30_000);

test('the operator’s image has all that its main program imports', () => {
  // Without a cluster it ends by its own words, not by a module that is missing.
  const { stderr, stdout } = spawnSync(process.execPath, ['operator/main.js'], {
    cwd: join(folder, 'operator'),
    encoding: 'utf8',
    timeout: 30_000,
    env: { PATH: process.env['PATH'] ?? '' },
  });
  expect(stdout + stderr).not.toContain('MODULE_NOT_FOUND');
  expect(stdout + stderr).toContain('AGENT_IMAGE');
}, 30_000);

test('the agent’s image has the files of the page', () => {
  const page = here('../../agent/ui/page');
  const staged = readdirSync(join(folder, 'agent/agent/ui/page'));
  expect(staged).toEqual(expect.arrayContaining(readdirSync(page)));
});

test('the agent’s image runs Node by the flags that were measured to be best', () => {
  const flags = readFileSync(here('../node-flags'), 'utf8').trim().split(/\s+/);
  const entrypoint = ['node', ...flags, 'agent/main.js'].map((word) => JSON.stringify(word)).join(', ');
  expect(readFileSync(here('Dockerfile'), 'utf8')).toContain(`ENTRYPOINT [${entrypoint}]`);
});
