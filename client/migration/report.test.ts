import { expect, it } from 'vitest';
import { formatReport } from './report.ts';
import { JudgedTally, type NamespaceReport, wilson } from './tally.ts';

function aReport(existing: JudgedTally, edge: JudgedTally): NamespaceReport {
  return {
    namespace: 'gpu_pricing',
    phase: 'read',
    edgeShare: 0.25,
    sampleShare: 0.01,
    reads: { existingHits: 750, existingMisses: 3, edge: 249, fallbacks: 1, lastFallback: 'no agent' },
    existing: existing.report(),
    edge: edge.report(),
    changes: { sent: 40, failed: 0, dropped: 0, waiting: 0, lastError: '' },
    existingErrors: 0,
  };
}

it('a report says how often and how old, and what kept it from knowing', () => {
  const existing = new JudgedTally();
  for (let i = 0; i < 90; i++) existing.count({ kind: 'agreed' });
  for (const ageMs of [700, 900, 40_000, 5_000_000]) existing.count({ kind: 'stale', ageMs });
  existing.count({ kind: 'inFlight' });
  existing.count({ kind: 'moving' });
  existing.fail(new Error('no such table'));
  existing.drop();
  const text = formatReport({ elapsedMs: 61_000, namespaces: [aReport(existing, new JudgedTally())] });
  expect(text).toBe(`Migration, after 61 s

gpu_pricing: phase read, 25 % of the keys through Edge Cache, 1 % of the reads compared
  reads: 750 by the existing cache, 3 missed there, 249 by Edge Cache, 1 fell back
  changes: 40 sent, 0 failed, 0 dropped, 0 waiting
                  compared       stale         between  in flight  ahead  moving  errors  dropped
  existing cache        95  4 (4.21 %)  1.65 – 10.33 %          1      0       1       1        1
  Edge Cache             0           -               -          0      0       0       0        0
  age of stale answers of the existing cache, at least: 2 up to 1 s, 1 up to 1 min, 1 above 60 min
  existing cache, last error: no such table
  last fallback: no agent`);
});

it.each([
  [0, 0, 0, 1],
  [0, 100, 0, 0.037],
  [10, 100, 0.0552, 0.1744],
  [100, 100, 0.963, 1],
])('%i of %i are between %f and %f', (count, of, low, high) => {
  const [from, to] = wilson(count, of);
  expect(from).toBeCloseTo(low, 3);
  expect(to).toBeCloseTo(high, 3);
});
