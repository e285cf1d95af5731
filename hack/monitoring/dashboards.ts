import { type Dashboard, grafanaJson } from './dashboard.ts';
import { FLEET_DASHBOARD } from './fleet-dashboard.ts';
import { NAMESPACE_DASHBOARD } from './namespace-dashboard.ts';
import { NODE_DASHBOARD } from './node-dashboard.ts';

/** The one source of the chart’s dashboards, and of the queries that are tried on a real Prometheus. */
export const DASHBOARDS: readonly Dashboard[] = [FLEET_DASHBOARD, NODE_DASHBOARD, NAMESPACE_DASHBOARD];

/** Text of each dashboard, by its file in the chart. */
export function dashboardFiles(): [file: string, text: string][] {
  return DASHBOARDS.map((dashboard) => [
    `charts/edgecache/files/dashboards/${dashboard.name}.json`,
    `${JSON.stringify(grafanaJson(dashboard), null, 2)}\n`,
  ]);
}
