import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { cgroupUse, heapUse } from './memory-sources.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cgroup-'));
});
afterEach(() => rmSync(root, { recursive: true }));

function write(files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), `${text}\n`);
  }
}

const STAT = 'anon 700\nfile 300\ninactive_anon 5\ninactive_file 200\nactive_file 100';

it('reads version 2, without what the kernel can take back', () => {
  write({ 'memory.max': '1000', 'memory.current': '900', 'memory.stat': STAT });
  expect(cgroupUse(root)).toEqual({ name: 'cgroup', limitBytes: 1_000, usedBytes: 700 });
});

it('reads version 1', () => {
  write({
    'memory/memory.limit_in_bytes': '1000',
    'memory/memory.usage_in_bytes': '900',
    'memory/memory.stat': 'inactive_file 1\ntotal_inactive_file 300',
  });
  expect(cgroupUse(root)).toEqual({ name: 'cgroup', limitBytes: 1_000, usedBytes: 600 });
});

it('knows none where there is no limit, or nothing to read', () => {
  expect(cgroupUse(root)).toBeUndefined();
  write({ 'memory.max': 'max', 'memory.current': '900', 'memory.stat': STAT });
  expect(cgroupUse(root)).toBeUndefined();
  write({ 'memory/memory.limit_in_bytes': '9223372036854771712', 'memory/memory.usage_in_bytes': '900' });
  expect(cgroupUse(root)).toBeUndefined();
  write({ 'memory.max': 'broken' });
  expect(cgroupUse(root)).toBeUndefined();
});

it('does without the statistics', () => {
  write({ 'memory.max': '1000', 'memory.current': '900' });
  expect(cgroupUse(root)).toMatchObject({ usedBytes: 900 });
});

it('knows this process’ heap', () => {
  const { usedBytes, limitBytes } = heapUse();
  expect(usedBytes).toBeGreaterThan(1e6);
  expect(limitBytes).toBeGreaterThan(usedBytes);
});
