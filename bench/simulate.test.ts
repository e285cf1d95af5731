import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const SCRIPT = fileURLToPath(new URL('simulate.ts', import.meta.url));
const KEYS = 'a\nb\na\nc\n\na\r\n';

let folder: string;
const file = (name: string) => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'edgecache-simulate-'));
  writeFileSync(file('trace.txt'), KEYS);
  writeFileSync(file('trace.gz'), gzipSync(KEYS));
  writeFileSync(file('broken.gz'), KEYS);
  writeFileSync(file('empty.txt'), '\n');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function simulate(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, ...args], {
    cwd: folder,
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

describe('npm run simulate', () => {
  it('prints hit ratios by policy as one line of JSON, of a text file and a compressed one', () => {
    const stdout =
      '{"lru": 0.4, "lfu": 0.4, "s3fifo": 0.4, "tinylfu": 0.4, "default": 0.4, "optimum": 0.4}\n';
    for (const name of ['trace.txt', 'trace.gz']) {
      expect(simulate(file(name), '--size', '3', '--json')).toEqual({ status: 0, stdout, stderr: '' });
    }
  });

  it('prints a table for people, of the policies asked for', () => {
    const { status, stdout } = simulate('trace.txt', '--size', '2', '--policy', 'lru', '--policy', 'optimum');
    expect(status).toBe(0);
    expect(stdout).toContain('5 requests, 3 keys, 2 entries');
    expect(stdout.match(/^\w+ +[\d.]+$/gm)).toEqual(['lru       40.00', 'optimum   40.00']);
  });

  it('explains itself', () => {
    const { status, stdout } = simulate('--help');
    expect(status).toBe(0);
    for (const option of ['TRACE', '--size', '--policy', '--json', 'tinylfu'])
      expect(stdout).toContain(option);
  });

  it.each([
    [['--size', '5'], 'TRACE: got 0 of them; must be one file'],
    [['a', 'b', '--size', '5'], 'TRACE: got 2 of them; must be one file'],
    [['trace.txt'], '--size: got nothing; must be a whole number from 1'],
    [['trace.txt', '--size', '0'], "--size: got '0'; must be a whole number from 1"],
    [['trace.txt', '--size', '1.5'], "--size: got '1.5'; must be a whole number from 1"],
    [['trace.txt', '--size', '5', '--policy', 'arc'], "--policy: got 'arc'; must be one of lru, lfu"],
    [['trace.txt', '--size', '5', '--sise', '6'], "Unknown option '--sise'"],
  ])('refuses %j with what was given and what is right', (args, message) => {
    const { status, stdout, stderr } = simulate(...args);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain(`simulate: ${message}`);
    expect(stderr).toContain('--help');
  });

  it.each([
    ['absent.txt', 'ENOENT'],
    ['broken.gz', 'incorrect header check'],
    ['empty.txt', 'holds no requests'],
    ['.', 'EISDIR'],
  ])('fails on %s and says why', (name, message) => {
    const { status, stdout, stderr } = simulate(name, '--size', '5');
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toContain(`simulate: TRACE: got '${name}': `);
    expect(stderr).toContain(message);
    expect(stderr).toContain('must be a text file with one key a line');
  });
});
