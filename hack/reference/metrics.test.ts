import { beforeAll, describe, expect, it } from 'vitest';
import { liveMetrics, type MetricRow } from './metrics.ts';

let own: MetricRow[];
beforeAll(async () => {
  const { agent, operator, client } = await liveMetrics();
  own = [...agent, ...operator, ...client].filter(({ name }) => name.startsWith('edgecache_'));
});

/** Labels that Prometheus gives to what it scrapes in Kubernetes: one of ours by such a name would become exported_…. */
const TAKEN = ['namespace', 'pod', 'node', 'service', 'endpoint', 'container', 'job', 'instance'];

describe('metrics are named as Prometheus’ users expect', () => {
  it('are there at all', () => {
    expect(own.length).toBeGreaterThan(60);
  });

  it('counters, and only they, end with _total', () => {
    for (const { name, type } of own)
      expect([name, name.endsWith('_total')]).toEqual([name, type === 'counter']);
  });

  it('are in base units', () => {
    for (const { name } of own)
      expect(name).not.toMatch(/_(ms|milliseconds|minutes|kb|mb|megabytes|percent)(_|$)/);
    for (const { name, type } of own.filter((row) => row.type === 'histogram'))
      expect([name, type]).toEqual([expect.stringMatching(/_seconds$/), 'histogram']);
  });

  it('have help texts that are sentences', () => {
    for (const { name, help } of own)
      expect([name, help]).toEqual([name, expect.stringMatching(/^[A-Z1].*\.$/)]);
  });

  it('have no label that Prometheus gives itself', () => {
    for (const { name, labels } of own)
      for (const label of labels) expect([name, TAKEN.includes(label)]).toEqual([name, false]);
  });
});
