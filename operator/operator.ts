import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { publicKeyText } from '../api/reload.ts';
import { AgentFleet } from './agents/fleet.ts';
import { NetworkAgentLink } from './agents/link.ts';
import { AuthorityStore } from './certificates/authority-store.ts';
import { TierCertificates } from './certificates/tier-certificates.ts';
import type { OperatorConfig } from './config/operator-config.ts';
import { ensureReloadKey } from './config/reload-key.ts';
import { Children } from './controller/children.ts';
import { NodeOverlap } from './controller/node-overlap.ts';
import { TierReconciler } from './controller/reconciler.ts';
import { TokenReviewers } from './controller/token-reviewers.ts';
import { Watches } from './controller/watches.ts';
import { runWorkers } from './controller/workers.ts';
import { messageOf } from './errors.ts';
import { HealthServer } from './health-server.ts';
import { KubeClient } from './kube/client.ts';
import type { Credentials } from './kube/credentials.ts';
import { Backoff, delay } from './kube/delay.ts';
import { EventRecorder } from './kube/events.ts';
import { LEASE_TIMING, LeaseElector, type LeaseTiming } from './kube/lease.ts';
import { WorkQueue } from './kube/queue.ts';
import type { ReflectorTiming } from './kube/reflector.ts';
import { OperatorMetrics } from './metrics.ts';
import { VERSION } from './version.ts';

/** Bursts of changes of a DaemonSet's status or of agents' news become one look at the tier. */
const SOON_MS = 500;
const PLACEMENT_MS = 100;
const FINISH_MS = 5_000;
/** Watches hear a bookmark about once a minute; after this long without any the process is of no use. */
const DEAF_MS = 5 * 60_000;

export interface OperatorParts {
  readonly config: OperatorConfig;
  readonly credentials: Credentials;
  readonly logger: Logger;
  readonly leaseTiming?: LeaseTiming;
  readonly reflectorTiming?: Partial<ReflectorTiming>;
  /** How often to look for kinds of other operators. */
  readonly discoveryMs?: number;
  /** Called with the port of the health server. */
  readonly onListening?: (port: number) => void;
}

/**
 * Runs an operator until the signal.
 * @throws LeaseLostError when another replica has taken over: the process is to end at once.
 */
export async function runOperator(parts: OperatorParts, signal: AbortSignal): Promise<void> {
  const { config, credentials, logger } = parts;
  const metrics = new OperatorMetrics();
  const client = new KubeClient({
    credentials,
    userAgent: `edgecache-operator/${VERSION}`,
    onRequest: (method, code) => metrics.requests.inc({ method, code: String(code) }),
  });
  const queue = new WorkQueue(
    {},
    {
      onAdd: () => metrics.queueAdds.inc(),
      onRetry: () => metrics.queueRetries.inc(),
      onTake: (waitedMs) => metrics.queueWaitSeconds.observe(waitedMs / 1000),
    },
  );
  const reloadKey = await untilDone(
    () => ensureReloadKey(client, config.namespace, config.reloadKeySecret, signal),
    logger,
    signal,
  );
  if (reloadKey === undefined) return;
  const link = new NetworkAgentLink({
    privateKey: reloadKey,
    grpcPort: config.agentGrpcPort,
    httpPort: config.agentHttpPort,
  });
  const fleet = new AgentFleet({
    link,
    logger,
    onNews: (tierKey) => queue.addAfter(tierKey, SOON_MS),
    onPush: (result) => metrics.pushes.inc({ result }),
    timing: { statsIntervalMs: config.statsIntervalMs },
  });
  let placementTimer: NodeJS.Timeout | undefined;
  const watches: Watches = new Watches({
    client,
    logger,
    namespace: config.watchNamespace,
    onRelist: (kind) => metrics.relists.inc({ kind }),
    ...(parts.reflectorTiming === undefined ? {} : { timing: parts.reflectorTiming }),
    ...(parts.discoveryMs === undefined ? {} : { discoveryMs: parts.discoveryMs }),
    handlers: {
      enqueue: (key) => queue.add(key),
      enqueueSoon: (key) => queue.addAfter(key, SOON_MS),
      onSlice: (key, now, before) => fleet.onSlice(key, now, before),
      onPlacement: () => {
        placementTimer ??= setTimeout(() => {
          placementTimer = undefined;
          for (const key of overlap.refresh()) queue.add(key);
        }, PLACEMENT_MS);
      },
    },
  });
  const overlap = new NodeOverlap(watches.nodes, watches.tiers);
  const events = new EventRecorder(client, config.podName, logger);
  const settings = () => ({
    agentImage: config.agentImage,
    agentImagePullPolicy: config.agentImagePullPolicy,
    operatorNamespace: config.namespace,
    reloadKey: publicKeyText(reloadKey),
    hasServiceMonitors: watches.hasServiceMonitors,
    hasCertificates: watches.hasCertificates,
    clusterDomain: config.clusterDomain,
  });
  const now = () => new Date();
  const authorities = new AuthorityStore({
    client,
    namespace: config.namespace,
    name: config.authoritiesSecret,
    now,
  });
  const certificates = new TierCertificates({
    client,
    authorities,
    clusterDomain: config.clusterDomain,
    now,
  });
  const reconciler = new TierReconciler({
    client,
    tiers: watches.tiers,
    cache: watches,
    children: new Children(client, watches),
    certificates,
    reviewers: new TokenReviewers({ client, bindingName: config.tokenReviewBinding, tiers: watches.tiers }),
    fleet,
    overlap,
    events,
    settings,
  });
  metrics.observeState({
    queueDepth: () => queue.depth,
    activeWorkers: () => queue.activeCount,
    watches: () => watches.all,
    certificates: () => certificates.ends(),
    authorityEndsAt: () => authorities.endsAt,
  });
  const health = new HealthServer(
    {
      unhealthy: () => deafness(watches),
      notReady: () => (watches.hasSynced ? undefined : 'the cluster has not been listed yet'),
    },
    metrics.registry,
  );
  // Not within the optional call: its arguments are not evaluated where nobody wants to be called.
  const port = await health.listen(config.httpPort);
  logger.info({ port }, 'listening');
  parts.onListening?.(port);

  const stop = new AbortController();
  const running = AbortSignal.any([signal, stop.signal]);
  const watching = watches.run(stop.signal);
  const elector = new LeaseElector({
    client,
    namespace: config.namespace,
    name: config.leaseName,
    identity: `${config.podName}_${randomUUID()}`,
    logger,
    timing: parts.leaseTiming ?? LEASE_TIMING,
  });
  try {
    await watches.synced(signal);
    if (await elector.acquire(signal)) {
      metrics.leader.set(1);
      await lead();
    }
  } finally {
    metrics.leader.set(0);
    stop.abort();
    clearTimeout(placementTimer);
    await watching;
    await events.flush();
    await elector.release();
    await Promise.all([link.close(), health.close()]);
  }

  /** Everything that only one replica may do. When it returns, nothing of it is going on any more. */
  async function lead(): Promise<void> {
    for (const key of overlap.refresh()) queue.add(key);
    for (const tier of watches.tiers.values()) queue.add(`${tier.metadata.namespace}/${tier.metadata.name}`);
    const workers = runWorkers(
      {
        queue,
        logger,
        count: config.workers,
        timeoutMs: config.reconcileTimeoutMs,
        resyncMs: config.resyncMs,
        reconcile: (key, log, abort) => reconciler.reconcile(key, log, abort),
        onResult: (result, seconds) => {
          metrics.reconciles.inc({ result });
          metrics.reconcileSeconds.observe(seconds);
        },
      },
      stop.signal,
    );
    const caring = fleet.run(running);
    try {
      await elector.hold(signal);
    } catch (error) {
      // Another may be at work already: break off what is under way.
      stop.abort();
      throw error;
    } finally {
      queue.stop();
      // The lease is not renewed any more: what was begun must be over well before it runs out.
      const grace = setTimeout(() => stop.abort(), FINISH_MS);
      await workers;
      clearTimeout(grace);
      stop.abort();
      await caring;
    }
  }
}

/** Tries until it succeeds: at the start of a cluster the API server is often not there yet. */
async function untilDone<T>(
  work: () => Promise<T>,
  logger: Logger,
  signal: AbortSignal,
): Promise<T | undefined> {
  const backoff = new Backoff(500, 10_000);
  while (!signal.aborted) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted) break;
      logger.warn({ error: messageOf(error) }, 'the API server does not answer as hoped; trying again');
      await delay(backoff.next(), signal);
    }
  }
  return undefined;
}

function deafness(watches: Watches): string | undefined {
  const deaf = watches.all
    .filter((reflector) => reflector.silentForMs > DEAF_MS)
    .map((reflector) => reflector.kind);
  return deaf.length === 0 ? undefined : `nothing heard for too long about: ${deaf.join(', ')}`;
}
