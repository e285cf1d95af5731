import { readFileSync } from 'node:fs';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import {
  CERTIFICATE_ALERTS,
  EVENT_ALERTS,
  FLEET_ALERTS,
  LOOKUP_ALERTS,
  REDIS_ALERTS,
} from './agent-alerts.ts';
import type { AlertGroup, Thresholds } from './alert.ts';
import { OPERATOR_ALERTS } from './operator-alerts.ts';

/** The one source of all alerts: of the chart’s PrometheusRule, of docs/reference/alerts.md, and of what is tested. */
export const ALERT_GROUPS: readonly AlertGroup[] = [
  { name: 'edgecache-lookups', rules: LOOKUP_ALERTS },
  { name: 'edgecache-events', rules: EVENT_ALERTS },
  { name: 'edgecache-redis', rules: REDIS_ALERTS },
  { name: 'edgecache-certificates', rules: CERTIFICATE_ALERTS },
  { name: 'edgecache-fleet', rules: FLEET_ALERTS },
  { name: 'edgecache-operator', rules: OPERATOR_ALERTS },
];

/** Alerts by name: a pair has one, and one section in the runbook. */
export function alertNames(): string[] {
  return [...new Set(ALERT_GROUPS.flatMap(({ rules }) => rules.map(({ alert }) => alert)))];
}

/** What templates/monitoring.yaml renders. */
export function alertsFile(): string {
  const head =
    '# Generated from hack/monitoring/ by npm run generate. Do not edit. <name.level>: see prometheusRule.thresholds.\n';
  return head + stringify({ groups: ALERT_GROUPS }, { lineWidth: 0, aliasDuplicateObjects: false });
}

const valuesSchema = z.looseObject({
  prometheusRule: z.looseObject({ thresholds: z.record(z.string(), z.record(z.string(), z.number())) }),
});

/** Thresholds as of the chart's values. */
export function defaultThresholds(root: URL): Thresholds {
  const text = readFileSync(new URL('charts/edgecache/values.yaml', root), 'utf8');
  return valuesSchema.parse(parse(text)).prometheusRule.thresholds;
}
