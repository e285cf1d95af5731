import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { withThresholds } from '../../hack/monitoring/alert.ts';
import { ALERT_GROUPS, defaultThresholds } from '../../hack/monitoring/alerts.ts';
import { ALERT_CASES, type AlertCase, WELL } from '../support/alert-cases.ts';
import { findPrometheus } from '../support/prometheus-install.ts';

const ROOT = new URL('../../', import.meta.url);
const found = findPrometheus();
if ('missing' in found) console.warn(`skipped: ${found.missing}`);
const promtool = 'missing' in found ? '' : found.promtool;

const folder = mkdtempSync(join(tmpdir(), 'edgecache-alerts-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const rules = join(folder, 'rules.yaml');
writeFileSync(rules, stringify({ groups: withThresholds(ALERT_GROUPS, defaultThresholds(ROOT)) }));

function run(...args: readonly string[]): string {
  try {
    return execFileSync(promtool, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`promtool ${args[0]} ${args[1]}: ${stdout}${stderr}`);
  }
}

/** promtool's test of what fires at one moment: just this, however many agents it fires for. */
function ruleTest({ series, atMinutes, fires }: AlertCase): object {
  const inputs = Object.entries({ ...WELL, ...series });
  return {
    rule_files: [rules],
    evaluation_interval: '1m',
    tests: [
      {
        interval: '1m',
        input_series: inputs.map(([name, values]) => ({ series: name, values })),
        promql_expr_test: [
          {
            expr: 'group by (alertname, severity) (ALERTS{alertstate="firing"})',
            eval_time: `${atMinutes}m`,
            exp_samples: fires.map((one) => {
              const [name, severity] = one.split(' ');
              return { labels: `{alertname="${name}",severity="${severity}"}`, value: 1 };
            }),
          },
        ],
      },
    ],
  };
}

describe.skipIf('missing' in found)('alerts, as promtool judges them,', () => {
  it('are rules', () => {
    expect(run('check', 'rules', rules)).toContain('SUCCESS');
  });

  it.each(ALERT_CASES.map((one, i) => ({ ...one, i })))('when $when: $fires', ({ i, ...one }) => {
    const file = join(folder, `case-${i}.yaml`);
    writeFileSync(file, stringify(ruleTest(one)));
    expect(run('test', 'rules', file)).toContain('SUCCESS');
  });

  it('say what is the matter, and with whom', () => {
    const file = join(folder, 'texts.yaml');
    const test = ruleTest({
      when: '',
      series: {
        'edgecache_outbox_oldest_age_seconds{namespace="shop",job="j",pod="p",instance="i"}': '90x10',
      },
      atMinutes: 5,
      fires: [],
    }) as { tests: object[] };
    const [group] = test.tests;
    const { annotations } = withThresholds(ALERT_GROUPS, defaultThresholds(ROOT))
      .flatMap((one) => one.rules)
      .find(({ alert }) => alert === 'EdgeCacheOutboxGrows') ?? { annotations: { description: '' } };
    const expected = {
      exp_labels: { severity: 'warning', namespace: 'shop', job: 'j', pod: 'p', instance: 'i' },
      exp_annotations: {
        summary: 'The agent p has a change for 1m 30s that it cannot send to Redis.',
        description: annotations.description,
      },
    };
    const alerts = [{ eval_time: '5m', alertname: 'EdgeCacheOutboxGrows', exp_alerts: [expected] }];
    writeFileSync(
      file,
      stringify({ ...test, tests: [{ ...group, promql_expr_test: [], alert_rule_test: alerts }] }),
    );
    expect(run('test', 'rules', file)).toContain('SUCCESS');
  });
});

it('each alert is tried in a case in which it fires', () => {
  const fired = new Set(ALERT_CASES.flatMap(({ fires }) => fires));
  const all = ALERT_GROUPS.flatMap((group) =>
    group.rules.map(({ alert, labels }) => `${alert} ${labels.severity}`),
  );
  expect(all.filter((one) => !fired.has(one))).toEqual([]);
});
