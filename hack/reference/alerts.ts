import { withThresholds } from '../monitoring/alert.ts';
import { ALERT_GROUPS, defaultThresholds } from '../monitoring/alerts.ts';
import { code, type Page, prose, table } from './markdown.ts';

/** Every alert of the chart with the thresholds that its values have by default. */
export function alertsPage(root: URL): Page {
  const rows = withThresholds(ALERT_GROUPS, defaultThresholds(root)).flatMap(({ rules }) =>
    rules.map(({ alert, expr, for: lasts, labels, annotations }) => [
      `[${alert}](../runbook.md#${alert.toLowerCase()})`,
      labels.severity,
      code(expr),
      lasts === '0m' ? 'at once' : lasts,
      prose(annotations.description),
    ]),
  );
  return {
    name: 'alerts',
    title: 'Alerts',
    summary:
      'the chart’s PrometheusRule: conditions and thresholds; each links to its section of the runbook',
    source: 'hack/monitoring/ and charts/edgecache/values.yaml',
    body: [
      'In the chart with `prometheusRule.enabled`; thresholds are `prometheusRule.thresholds` ([values](chart.md)), `prometheusRule.disabled` leaves alerts out by name. ' +
        'Where two have one name, the worse one is `critical`: let Alertmanager mute the warning by it (`inhibit_rules`, equal: `[alertname, namespace, job, pod]`).',
      table(['alert', 'severity', 'condition', 'for', 'means'], rows),
    ].join('\n\n'),
  };
}
