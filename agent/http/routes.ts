import type { Registry } from 'prom-client';
import { SIGNATURE_HEADER } from '../../api/reload.ts';
import type { Reloads } from '../reload.ts';
import { collectStats, healthOf, type StatsSources } from '../stats.ts';
import { expose } from './exposition.ts';
import type { HttpRoute, HttpServerOptions, PostRequest } from './server.ts';

export interface RouteOptions {
  readonly sources: StatsSources;
  readonly registry: Registry;
  readonly ready: () => boolean;
  readonly metrics: boolean;
}

/** Pages of the agent's HTTP port. */
export function agentRoutes({
  sources,
  registry,
  ready,
  metrics,
}: RouteOptions): HttpServerOptions['routes'] {
  return {
    // Alive means that the process answers: a Redis that is gone is not mended by killing agents.
    '/healthz': () => text(200, 'ok\n'),
    '/readyz': () => (ready() ? text(200, 'ready\n') : text(503, `not ready: ${whyNot(sources)}\n`)),
    '/statusz': () => ({
      status: 200,
      type: 'application/json',
      body: `${JSON.stringify(status(sources), null, 2)}\n`,
    }),
    ...(metrics
      ? {
          '/metrics': async ({ accept }) => ({ status: 200, ...(await expose(registry, accept)) }),
        }
      : {}),
  };
}

/** Takes configuration from the operator: see api/reload.ts. */
export function reloadRoute(reloads: Reloads, { body, headers }: PostRequest): HttpRoute {
  const { status, answer } = reloads.push(body, String(headers[SIGNATURE_HEADER] ?? ''));
  return { status, type: 'application/json', body: `${JSON.stringify(answer)}\n` };
}

function text(status: number, body: string): HttpRoute {
  return { status, type: 'text/plain; charset=utf-8', body };
}

function whyNot({ connections, feed }: StatsSources): string {
  if (!connections.connected)
    return `no connection to Redis${connections.lastError === '' ? '' : ` (${connections.lastError})`}`;
  const { length } = feed.partitions;
  return `events of ${length - feed.subscribed} of ${length} partitions are not heard yet`;
}

function status(sources: StatsSources) {
  const now = sources.now();
  return {
    ...collectStats(sources),
    health: healthOf(sources),
    partitions: sources.feed.partitions.map((place) => ({
      partition: place.index,
      current: place.current,
      received: place.received,
      leaseMs: Math.max(0, Math.round(place.freshCriticalUntil - now)),
    })),
  };
}
