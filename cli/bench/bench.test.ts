import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeAgent, fails } from '../../client/testing/fake-agent.ts';
import { runCli, type Setting } from '../testing/run-cli.ts';
import { Tally } from './tally.ts';

let agent: FakeAgent;
beforeEach(async () => {
  agent = await FakeAgent.start({ streams: true });
});
afterEach(() => agent.stop());

const bench = (args: readonly string[], setting: Setting = {}) =>
  runCli(['bench', 'ns', '--warm-up', '0', '--keys', '50', ...args], {
    ...setting,
    env: { EDGECACHE_ADDRESS: agent.address },
  });

/** Names that were written, and that were taken away. */
const namesOf = (method: 'put' | 'invalidate') =>
  agent.calls(method).flatMap((request) => {
    const { key, keys = [key] } = Object(request);
    return keys;
  });

describe('edgecache bench', () => {
  it('asks for keys of its own, changes some, measures, and takes them away', async () => {
    const { code, out, err } = await bench(['--duration', '200ms', '--changes', '20', '--concurrency', '4']);
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/0\.2 s, 1 agent, 4 in flight, 50 keys of 512 bytes/);
    expect(out).toMatch(/OPERATION\s+COUNT\s+PER SECOND\s+P50\s+P90\s+P99\s+MAX\s+ERRORS/);
    expect(out).toMatch(/lookup\s+\d+\s+\S+\s+[\d.]+ ms/);
    expect(out).toMatch(/hit ratio: 100\.0 % from memory/);
    expect(new Set(namesOf('invalidate')).size).toBe(50);
    for (const name of [...namesOf('put'), ...namesOf('invalidate')])
      expect(name).toMatch(/^edgecache-bench\/[\da-f]{8}\/\d+$/);
    for (const name of new Set(namesOf('put'))) expect(agent.stored('ns', name)).toBeUndefined();
  });

  it('is JSON for programs', async () => {
    const { out } = await bench(['--duration', '100ms', '--changes', '50', '--size', '10', '--json']);
    const said = JSON.parse(out);
    expect(said).toMatchObject({ namespace: 'ns', agents: 1, valueBytes: 10, hitRatio: 1, errors: {} });
    expect(said.lookups.count).toBeGreaterThan(0);
    expect(said.changes.count).toBeGreaterThan(0);
    expect(said.lookups.maxMs).toBeGreaterThanOrEqual(said.lookups.p50Ms);
  });

  it('begins no more operations a second than it is told', async () => {
    const { out } = await bench(['--duration', '500ms', '--rate', '100', '--changes', '0', '--json']);
    const { lookups, changes } = JSON.parse(out);
    expect(lookups.count).toBeGreaterThan(0);
    expect(lookups.count).toBeLessThanOrEqual(51);
    expect(changes.count).toBe(0);
  });

  it('counts what fails, says why, and fails itself', async () => {
    agent.next('batchGet', ...Array.from({ length: 5_000 }, () => fails(8, 'too many', 'EC_OUTBOX_FULL')));
    agent.next('get', ...Array.from({ length: 5_000 }, () => fails(8, 'too many', 'EC_OUTBOX_FULL')));
    const { code, out } = await bench(['--duration', '100ms', '--changes', '0', '--unary']);
    expect(code).toBe(1);
    expect(out).toMatch(/error \d+ times: too many/);
    expect(namesOf('invalidate').length).toBe(50);
  });

  it('on Ctrl-C prints what there is, and takes its keys away', async () => {
    const interrupt = new AbortController();
    agent.next('lookup', () => {
      interrupt.abort();
      return undefined;
    });
    const { code, out } = await bench(['--duration', '1h', '--changes', '0', '--timeout', '5s'], {
      signal: interrupt.signal,
    });
    expect(code).toBe(130);
    expect(out).toMatch(/lookup\s+\d+/);
    expect(namesOf('invalidate').length).toBe(50);
  });

  it('refuses what makes no sense before it writes anything', async () => {
    for (const [args, why] of [
      [['--changes', '101'], '--changes: "101" must be a number from 0 to 100'],
      [['--rate', '0'], '--rate: "0" must be a whole number from 1 to 1000000'],
      [['--duration', '0s'], '--duration: "0s" is no duration'],
      [['--skew', 'x'], '--skew: "x" must be a number from 0 to 5'],
    ] as const) {
      const { code, err } = await bench(args);
      expect([code, err]).toEqual([2, expect.stringContaining(why)]);
    }
    expect(agent.received).toEqual([]);
  });
});

it('a tally keeps a bounded number of messages apart', () => {
  const tally = new Tally();
  for (let i = 0; i < 100; i++) tally.failed('lookup', new Error(`key ${i}`));
  const { errors, lookups } = tally.result(1);
  expect(errors.length).toBe(21);
  expect(errors[0]).toEqual(['other messages', 80]);
  expect(lookups).toMatchObject({ count: 0, errors: 100, p99Ms: 0 });
});
