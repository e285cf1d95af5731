import { Counter, type Registry } from 'prom-client';
import type { Beacon } from './beacon.ts';

export function fleetMetrics({ counters }: Pick<Beacon, 'counters'>, registry: Registry): void {
  new Counter({
    name: 'edgecache_fleet_reports_total',
    help: 'Summaries of itself that this agent put into Redis for the page of the fleet.',
    registers: [registry],
    collect() {
      this.reset();
      this.inc(counters.reports);
    },
  });
  new Counter({
    name: 'edgecache_fleet_report_failures_total',
    help: 'Such summaries that Redis did not take.',
    registers: [registry],
    collect() {
      this.reset();
      this.inc(counters.failures);
    },
  });
}
