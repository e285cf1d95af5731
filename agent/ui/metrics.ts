import { Counter, Gauge, type Registry } from 'prom-client';
import type { LiveEvents } from './live-events.ts';

export function uiMetrics(live: Pick<LiveEvents, 'readers' | 'counters'>, registry: Registry): void {
  const registers = [registry];
  new Gauge({
    name: 'edgecache_ui_event_readers',
    help: 'Pages that look on as events are applied.',
    registers,
    collect() {
      this.set(live.readers);
    },
  });
  new Counter({
    name: 'edgecache_ui_events_missed_total',
    help: 'Events that a page was not sent, because it read too slowly; it was told how many.',
    registers,
    collect() {
      this.reset();
      this.inc(live.counters.missed);
    },
  });
  new Counter({
    name: 'edgecache_ui_event_readers_dropped_total',
    help: 'Pages that were dropped because they did not read at all.',
    registers,
    collect() {
      this.reset();
      this.inc(live.counters.dropped);
    },
  });
}
