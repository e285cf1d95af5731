import { Counter, Gauge, type Registry } from 'prom-client';
import { CONNECTION_ENDS, type Connections } from './connections.ts';

/** What the gRPC port has refused, and how full it is. */
export function portMetrics(registry: Registry, connections: Connections): void {
  const registers = [registry];
  new Gauge({
    name: 'edgecache_grpc_connections',
    help: 'Connections to the gRPC port.',
    registers,
    collect() {
      this.set(connections.size);
    },
  });
  new Counter({
    name: 'edgecache_grpc_connections_ended_total',
    help: 'Connections that this side ended, and calls whose request did not come in time (slow-request), by reason.',
    labelNames: ['reason'],
    registers,
    collect() {
      this.reset();
      for (const reason of CONNECTION_ENDS) this.inc({ reason }, connections.ends[reason]);
    },
  });
}
