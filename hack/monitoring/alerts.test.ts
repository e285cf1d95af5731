import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { liveMetrics } from '../reference/metrics.ts';
import { threshold, withThresholds } from './alert.ts';
import { ALERT_GROUPS, alertNames, defaultThresholds } from './alerts.ts';

const ROOT = new URL('../../', import.meta.url);
const runbook = readFileSync(new URL('docs/runbook.md', ROOT), 'utf8');
const sections = new Map(
  runbook
    .split(/^## /m)
    .slice(1)
    .map((text) => [text.slice(0, text.indexOf('\n')).trim(), text] as const),
);
const rules = withThresholds(ALERT_GROUPS, defaultThresholds(ROOT)).flatMap((group) => group.rules);

describe('the runbook', () => {
  it('has a section for every alert, and for nothing else', () => {
    expect([...sections.keys()].sort()).toEqual([...alertNames()].sort());
  });

  it.each([...sections])('says of %s what it means, how to check, what to do', (_name, text) => {
    for (const part of ['**Means**', '**Check**', '**Fix**']) expect(text).toContain(part);
  });
});

describe('alerts', () => {
  it('ask for metrics that are there, with labels that they have', async () => {
    const { agent, operator } = await liveMetrics();
    const endings = (name: string) => [name, `${name}_bucket`, `${name}_count`, `${name}_sum`];
    const known = new Set([...agent, ...operator].flatMap(({ name }) => endings(name)));
    for (const text of [...rules.map(({ expr }) => expr), runbook])
      for (const [name] of text.matchAll(/\b(edgecache|nodejs)_[a-z0-9_]+/g))
        expect([name, known.has(name)]).toEqual([name, true]);
  });

  it('of one name ask one question: critical ones are worse', () => {
    const raw = ALERT_GROUPS.flatMap((group) => group.rules);
    const pairs = alertNames().map((name) => raw.filter(({ alert }) => alert === name));
    for (const pair of pairs) {
      if (pair.length === 1) continue;
      expect(pair.map(({ labels }) => labels.severity)).toEqual(['warning', 'critical']);
      const [warning, critical] = pair.map(({ expr }) => expr.replace(/<(\w+)\.(warning|critical)>/, '<$1>'));
      expect(critical).toBe(warning);
    }
  });

  it('say which threshold has no value', () => {
    const [group] = ALERT_GROUPS;
    const rule = { ...group?.rules[0], expr: `1 > ${threshold('nothing', 'warning')}` } as (typeof rules)[0];
    expect(() => withThresholds([{ name: 'g', rules: [rule] }], {})).toThrow(
      '<nothing.warning>: no such value under prometheusRule.thresholds',
    );
  });
});
