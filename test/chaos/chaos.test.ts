import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { History } from './history.ts';
import type { LoadOptions } from './load.ts';
import { type ChaosOptions, runChaos } from './run.ts';

const BROKEN = fileURLToPath(new URL('./broken/agent.ts', import.meta.url));

/** It alone takes as long as all the others together. */
const FLOOD = 'flood of 100,000 events';

/** Changes often overtake a load, whose fill the lease then has to refuse. With many keys and a fast database that is too rare to wait for. */
const OVERTAKING: LoadOptions = { keys: 4, databaseMs: 250 };

describe('the guarantees', () => {
  // Two seeds, each long enough for every fault once or nearly so; `npm run chaos` goes on for as long as one likes.
  it.each<[number, LoadOptions]>([
    [11, {}],
    [12, OVERTAKING],
  ])('hold under every fault, seed %i', async (seed, load) => {
    const report = await runChaos({ seconds: 60, seed, load, without: [FLOOD] });
    expect(report.violations).toEqual([]);
    expect(report.checkedReads).toBeGreaterThan(10_000);
    expect(report.counters.l1Hits).toBeGreaterThan(1_000);
    expect(report.auditReads).toBeGreaterThan(0);
  });

  it('hold under a flood of 100,000 events', async () => {
    const report = await runChaos({ seconds: 1, seed: 13, faults: [FLOOD] });
    expect(report.violations).toEqual([]);
    expect(report.faultsTried.get(FLOOD)).toMatchObject({ times: 1 });
    expect(report.checkedReads).toBeGreaterThan(5_000);
  });
});

/** Each protection, the faults that it is there for, and the rule that is violated without it. */
const PROTECTIONS: [string, string[], RegExp, LoadOptions?][] = [
  ['noLease', ['events blackholed for long'], /staleness/],
  ['noGapDetection', ['messages dropped'], /staleness/],
  ['noConfirmation', ['events delayed', 'agent frozen'], /confirmed/],
  ['noHandedDownLease', ['events blackholed for long'], /near answered.*replaced|confirmed.*near/],
  ['noFillLease', ['events delayed'], /confirmed|staleness/, OVERTAKING],
  ['noFillGuard', ['commands delayed, and the heads with them'], /confirmed|staleness|monotonic/],
];

describe('the checker', () => {
  it.each(PROTECTIONS)(
    'sees what happens without a protection: %s',
    async (name, faults, rule, load = {}) => {
      // Until it is seen, which usually takes seconds; a minute and a half without is blindness.
      const enough: ChaosOptions['enough'] = (violations) => violations.some((text) => rule.test(text));
      const report = await runChaos({
        seconds: 90,
        seed: 5,
        faults,
        load,
        main: BROKEN,
        env: { CHAOS_BREAK: name },
        enough,
      });
      expect(report.violations.filter((text) => rule.test(text)).length).toBeGreaterThan(0);
    },
  );
});

describe('the history', () => {
  const change = { key: 'k', version: '5-0', beganAt: 0, ackedAt: 100, confirmed: false };
  const read = { agent: 'a', key: 'k', version: '4-0', beganAt: 1_050, endedAt: 1_060 };

  it('allows an old value within the bound, and not beyond', () => {
    const history = new History(1_000);
    history.changed(change);
    history.read(read);
    expect(history.violations).toEqual([]);
    history.read({ ...read, agent: 'b', beganAt: 1_101, endedAt: 1_102 });
    expect(history.violations.map(({ rule }) => rule)).toEqual(['staleness']);
  });

  it('allows none after a confirmed change', () => {
    const history = new History(1_000);
    history.changed({ ...change, confirmed: true });
    history.read({ ...read, beganAt: 99 });
    expect(history.violations).toEqual([]);
    history.read({ ...read, agent: 'b', beganAt: 101 });
    expect(history.violations.map(({ rule }) => rule)).toEqual(['confirmed']);
  });

  it('sees an agent go back, and not two reads that overlapped', () => {
    const history = new History(1_000);
    history.read({ ...read, version: '9-0', beganAt: 0, endedAt: 10 });
    history.read({ ...read, version: '8-0', beganAt: 5, endedAt: 12 });
    expect(history.violations).toEqual([]);
    history.read({ ...read, version: '8-0', beganAt: 11, endedAt: 12 });
    expect(history.violations.map(({ rule }) => rule)).toEqual(['monotonic']);
  });

  it('owes nothing of what Redis lost', () => {
    const history = new History(1_000);
    history.changed(change);
    history.forget(500);
    history.changed({ ...change, beganAt: 400, ackedAt: 600 });
    history.read({ ...read, beganAt: 5_000, endedAt: 5_001 });
    expect(history.violations).toEqual([]);
  });
});
