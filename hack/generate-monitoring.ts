/**
 * Writes what the chart has for Prometheus and Grafana from hack/monitoring/.
 * Usage: node hack/generate-monitoring.ts
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { alertsFile } from './monitoring/alerts.ts';
import { dashboardFiles } from './monitoring/dashboards.ts';

const ROOT = new URL('../', import.meta.url);

/** Text of each file, as it should be. */
export function monitoringFiles(): Map<string, string> {
  return new Map([['charts/edgecache/files/alerts.yaml', alertsFile()], ...dashboardFiles()]);
}

/** Files that are not as they should be. */
export function outdatedMonitoring(): string[] {
  return [...monitoringFiles()].filter(([file, text]) => textOf(file) !== text).map(([file]) => file);
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(new URL(file, ROOT), 'utf8');
  } catch {
    return undefined;
  }
}

if (import.meta.main) for (const [file, text] of monitoringFiles()) writeFileSync(new URL(file, ROOT), text);
