import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import type { AgentConfig } from '../api/agent-config.ts';
import type { Namespace } from '../api/namespace.ts';
import { RELOAD_PATH } from '../api/reload.ts';
import { Analytics } from './analytics/analytics.ts';
import { Audit } from './audit/audit.ts';
import { EventPath } from './bus/event-path.ts';
import { Feed } from './bus/feed.ts';
import { Inbox } from './bus/inbox.ts';
import { Invalidator } from './cache/invalidator.ts';
import { L1 } from './cache/l1.ts';
import { Reader } from './cache/reader.ts';
import { Changes } from './change/changes.ts';
import { Confirmations } from './change/confirmations.ts';
import { Outbox } from './change/outbox.ts';
import { FileJournal } from './change/outbox-journal.ts';
import { AgentError, messageOf } from './errors.ts';
import { Explainer } from './explain/explainer.ts';
import { GrpcServer } from './grpc/server.ts';
import { buildCallMeter, type CallMeter } from './guard/call-meter.ts';
import { agentRoutes, reloadRoute } from './http/routes.ts';
import { HttpServer } from './http/server.ts';
import { ensureCache } from './l2/cache-identity.ts';
import { Encryption } from './l2/encryption-keys.ts';
import { L2, L2_DEFAULTS, type L2Options } from './l2/l2.ts';
import { readUsage } from './l2/usage.ts';
import { compareVersions } from './l2/version.ts';
import { availableMemory, L1Size } from './memory/l1-size.ts';
import type { MemoryUse } from './memory/memory-sources.ts';
import { Declarations } from './metrics/declarations.ts';
import { buildMetrics, type ObservedMetrics } from './metrics.ts';
import { RecentDurations } from './propagation.ts';
import { CommandConnections } from './redis/connections.ts';
import { RedisMonitor } from './redis/monitor.ts';
import { findMissingRights } from './redis/rights.ts';
import { type ConfigFile, Reloads } from './reload.ts';
import type { KubernetesApi } from './security/kubernetes-review.ts';
import { PortSecurity } from './security/port-security.ts';
import { Service } from './service.ts';
import type { StatsSources } from './stats.ts';
import { collectStats } from './stats.ts';
import type { AgentTracing } from './tracing/agent-tracing.ts';
import { AdaptiveTtl } from './ttl/adaptive-ttl.ts';
import { AgentPage } from './ui/agent-page.ts';
import { HotSet } from './warmup/hot-set.ts';
import { WarmUp } from './warmup/warm-up.ts';
import { freshUntil } from './watch/freshness.ts';
import { Watchers } from './watch/watchers.ts';

/** What an agent needs of its process; given from outside so that tests are exact. */
export interface AgentEnvironment {
  readonly log: Logger;
  /** What its configuration was read from, which it then watches. */
  readonly file?: ConfigFile | undefined;
  /** Environment variables, which override the file. */
  readonly variables?: Readonly<Record<string, string | undefined>>;
  /** Where ServiceAccounts are verified. Default: as the environment variables of a pod say. */
  readonly kubernetes?: KubernetesApi;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Milliseconds since 1970; for people's timestamps only. */
  readonly wallClock: () => number;
  readonly random: () => number;
  /** What may run short. Default: the container's memory and V8's heap. */
  readonly memory?: () => readonly MemoryUse[];
  /** Undefined: nothing is traced. */
  readonly tracing?: AgentTracing | undefined;
}

export interface AgentPorts {
  readonly grpcPort: number;
  readonly httpPort: number;
}

/** How long a lane may keep lookups waiting for one batch. */
const BATCH_MS = 2;
const MAX_INBOX_PER_LANE = 20_000;
const SWEEP_MS = 2_000;
const PRESSURE_MS = 250;
const IDENTITY_RETRY_MS = 500;
const STOP_GRACE_MS = 5_000;
const DRAIN_OUTBOX_MS = 3_000;
const FLUSH_SPANS_MS = 2_000;

/** One agent: everything between its ports and Redis, wired. */
export class Agent {
  readonly id: string;
  readonly registry = new Registry();
  readonly explainer: Explainer;
  readonly #env: AgentEnvironment;
  #config: AgentConfig;
  #namespaces: ReadonlyMap<string, Namespace>;
  readonly #connections: CommandConnections;
  readonly #analytics: Analytics;
  readonly #ttl: AdaptiveTtl;
  readonly #l1: L1;
  readonly #encryption: Encryption;
  readonly #l2: L2;
  readonly #inbox: Inbox;
  readonly #feed: Feed;
  readonly #reader: Reader;
  readonly #audit: Audit;
  readonly #outbox: Outbox;
  readonly #changes: Changes;
  readonly #confirmations: Confirmations;
  readonly #watchers: Watchers;
  readonly #invalidator: Invalidator;
  readonly #monitor: RedisMonitor;
  readonly #security: PortSecurity;
  readonly #grpc: GrpcServer;
  readonly #http: HttpServer;
  readonly #reloads: Reloads;
  readonly #size: L1Size;
  readonly #events: EventPath;
  readonly #warmUp: WarmUp;
  readonly #page: AgentPage;
  readonly #propagation = new RecentDurations();
  readonly #sources: StatsSources;
  readonly #memory: () => readonly MemoryUse[];
  readonly #stop = new AbortController();
  /** Why the agent must not go on, once known. */
  readonly fatal: Promise<AgentError>;
  #fail: (error: AgentError) => void = () => undefined;
  #identified = false;

  constructor(config: AgentConfig, env: AgentEnvironment) {
    this.#config = config;
    this.#env = env;
    this.#memory = env.memory ?? availableMemory;
    this.id = `${config.nodeId}-${randomBytes(4).toString('hex')}`;
    this.#namespaces = byName(config.namespaces);
    this.fatal = new Promise((resolve) => {
      this.#fail = resolve;
    });
    const { log, now, random } = env;
    const { cacheId, partitions, fillLeaseMs } = config;
    this.#encryption = new Encryption({
      cacheId,
      keyFile: config.encryption.keyFile,
      isEncrypted: (namespace) => this.#namespaces.get(namespace)?.encrypt === true,
      now,
      log,
    });
    this.#connections = new CommandConnections(config, log, random);
    const l2Options: L2Options = {
      ...L2_DEFAULTS,
      cacheId,
      partitions,
      fillLeaseMs,
      logAgeMs: config.eventLogSeconds * 1000,
      encryption: this.#encryption,
      limitOf: (namespace) => this.#namespaces.get(namespace)?.l2MemoryLimitBytes ?? 0,
    };
    this.#l2 =
      env.tracing?.buildL2(this.#connections.next, l2Options) ?? new L2(this.#connections.next, l2Options);
    this.#analytics = new Analytics({ entries: config.l1.maxEntries, now, random });
    this.#ttl = new AdaptiveTtl({ entries: config.l1.maxEntries, now });
    this.#l1 = new L1(config.namespaces, partitions, config.l1, {
      kept: (namespace, key, weight) => this.#analytics.largest.note(namespace, key, weight),
      left: (namespace, key, cause) => this.#analytics.left(namespace, key, cause),
    });
    this.#inbox = this.#buildInbox();
    this.#feed = this.#buildFeed();
    this.#audit = new Audit({
      l2: this.#l2,
      random,
      now,
      maxStalenessMs: () => this.#config.maxStalenessMs,
      violated: (violation) =>
        log.error(violation, 'the audit found an answer that was older than the bound'),
    });
    this.#watchers = new Watchers({
      now,
      freshUntil: (watched) => freshUntil(this.#feed.partitions, this.#namespaces, watched, now()),
    });
    this.#reader = new Reader({
      l1: this.#l1,
      l2: this.#l2,
      analytics: this.#analytics,
      ttl: this.#ttl,
      partitions: this.#feed.partitions,
      now,
      eventDriven: config.eventDriven,
      answered: (rules, key, version, partition) => this.#audit.sample(rules, key, version, partition),
      isQueued: (partition, namespace, key, tags) => this.#outbox.covers(partition, namespace, key, tags),
      reached: (partition, answered) => this.#reached(partition, answered),
      isApplied: (place, lane, version) =>
        this.#inbox.pendingOf(place, lane) === 0 && compareVersions(place.received, version) >= 0,
    });
    this.#invalidator = new Invalidator({
      rules: (namespace) => this.#namespaces.get(namespace),
      l1: this.#l1,
      reader: this.#reader,
      watchers: this.#watchers,
    });
    this.#outbox = new Outbox({
      maxItems: config.outbox.maxItems,
      maxBytes: config.outbox.maxBytes,
      send: env.tracing?.queued(this.#l2) ?? ((part) => this.#l2.change(part)),
      log,
      random,
      now,
      ...(config.outbox.dir === undefined
        ? {}
        : { journal: new FileJournal(config.outbox.dir, config.cacheId, this.#encryption) }),
    });
    this.#changes = new Changes({
      l2: this.#l2,
      outbox: this.#outbox,
      agentId: this.id,
      received: (partition) => this.#feed.partitions[partition]?.received ?? '0-0',
      dropLocally: (part, version) => this.#invalidator.drop(part, version),
      log,
    });
    this.#confirmations = new Confirmations({
      now,
      maxStalenessMs: config.maxStalenessMs,
      silent: (partition, agentId, renewals) => {
        this.#l2.forgetAgent(partition, agentId, renewals).catch((error: unknown) => {
          log.debug({ error: messageOf(error) }, 'a silent agent could not be struck off');
        });
      },
    });
    this.#monitor = this.#buildMonitor();
    this.#reloads = new Reloads({
      config,
      file: env.file,
      env: env.variables ?? {},
      apply: (next) => this.#reconfigure(next),
      log,
    });
    this.#size = new L1Size({
      config: () => this.#config,
      l1: this.#l1,
      follow: (entries) => {
        this.#analytics.resize(entries);
        this.#ttl.resize(entries);
      },
      memory: this.#memory,
      now,
      log,
    });
    this.#warmUp = this.#buildWarmUp();
    this.#sources = this.#buildSources(now());
    const metrics = buildMetrics(this.#sources, this.registry, env.tracing !== undefined);
    this.#page = this.#buildPage();
    this.#events = this.#buildEventPath(metrics);
    const service = this.#buildService();
    this.explainer = this.#buildExplainer();
    this.#security = this.#buildSecurity();
    this.#grpc = new GrpcServer({
      address: config.grpcAddress,
      nodeId: config.nodeId,
      agentId: this.id,
      now,
      random,
      limits: config.security.limits,
      service,
      watchers: this.#watchers,
      stats: (request) => collectStats(this.#sources, request),
      tracing: env.tracing,
      calls: config.metrics ? metrics.calls : undefined,
      explain: (request) => this.explainer.explain(request),
      guard: this.#security.guard,
      meter: this.#buildMeter(),
      log,
    });
    env.tracing?.addMetrics(this.registry, metrics.calls);
    this.#http = new HttpServer({
      address: config.httpAddress,
      routes: agentRoutes({
        sources: this.#sources,
        registry: this.registry,
        ready: () => this.ready,
        metrics: config.metrics,
      }),
      posts: { [RELOAD_PATH]: (request) => reloadRoute(this.#reloads, request) },
      mount: this.#page.mount,
    });
    for (const port of [this.#grpc.connections, this.#http]) port.declare(new Declarations(this.registry));
  }

  /** Whether lookups get whole answers: Redis is there, the cache is ours, and every partition is heard. */
  get ready(): boolean {
    return (
      this.#identified && this.#connections.connected && (this.#feed.complete || !this.#config.eventDriven)
    );
  }

  /** Opens the ports; Redis may come later. @throws AgentError EC_LISTEN_FAILED, EC_SECURITY_FILE */
  async start(): Promise<AgentPorts> {
    const grpcPort = await this.#grpc.listen(this.#security.start());
    const httpPort = await this.#http.listen();
    void this.#identify();
    this.#reloads.watch();
    this.#monitor.start(this.#stop.signal);
    this.#encryption.watch(this.#stop.signal);
    this.#warmUp.start(this.#stop.signal);
    this.#page.start(this.#stop.signal);
    this.#every(SWEEP_MS, () => {
      this.#l1.sweep(this.#env.now(), (rules) => (rules.critical ? 0 : rules.staleIfErrorSeconds * 1000));
    });
    this.#every(PRESSURE_MS, () => this.#size.pressure.look());
    this.#every(200, () => this.#grpc.setServing(this.ready));
    return { grpcPort, httpPort };
  }

  /** Drains: no new calls, calls in flight end, queued changes are tried once more, connections close. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#reloads.stop();
    this.#security.stop();
    // Near caches end first: once this agent is struck off, nobody waits for what they hold.
    await Promise.all([this.#watchers.stop(), this.#grpc.stop(STOP_GRACE_MS)]);
    const left = await this.#outbox.drain(this.#outbox.size === 0 ? 0 : DRAIN_OUTBOX_MS);
    if (left > 0) this.#env.log.error({ left }, 'stopping with changes that could not be sent');
    if (this.#identified && this.#connections.connected)
      await Promise.all([this.#warmUp.report(), this.#page.leave()]);
    this.#feed.stop();
    await Promise.allSettled(this.#feed.partitions.map(({ index }) => this.#l2.unregister(index, this.id)));
    this.#connections.close();
    await this.#env.tracing?.stop(FLUSH_SPANS_MS);
    await this.#http.stop();
  }

  /** Runs by another configuration from now on, of which only the fields that need no restart differ. */
  #reconfigure(next: AgentConfig): void {
    const before = this.#namespaces;
    this.#config = next;
    this.#namespaces = byName(next.namespaces);
    this.#env.log.level = next.logLevel;
    this.#size.apply();
    this.#confirmations.noteStaleness(next.maxStalenessMs);
    this.#feed.changeMaxStaleness(next.maxStalenessMs);
    const moved = next.namespaces.filter(
      ({ name, critical }) => before.has(name) && before.get(name)?.critical !== critical,
    );
    for (const { index } of this.#feed.partitions) {
      // Events of a namespace that was not known were passed over: a read from that time may have missed one.
      this.#reader.forgetFlights(index);
      // Its events may still be on their way through the other lane, whose lease no longer speaks for it.
      for (const { name } of moved) this.#l1.invalidateNamespace(name, index);
    }
    this.#security.reconfigure(next.security);
    this.#watchers.reset('the configuration changed');
  }

  #buildWarmUp(): WarmUp {
    const { cacheId, region } = this.#config;
    return new WarmUp({
      hotSet: new HotSet(this.#connections.next, cacheId, region),
      hot: this.#analytics.hot,
      reader: this.#reader,
      l1: this.#l1,
      partitionOf: (namespace, key) => this.#l2.partitionOf(namespace, key),
      namespaces: () => this.#namespaces,
      preload: () => this.#config.l1.preload,
      ready: () => this.ready,
      now: this.#env.now,
      random: this.#env.random,
      log: this.#env.log,
    });
  }

  #buildPage(): AgentPage {
    const { random, log } = this.#env;
    return new AgentPage({
      agentId: this.id,
      sources: this.#sources,
      next: this.#connections.next,
      ready: () => this.ready,
      explain: (request) => this.explainer.explain(request),
      security: () => this.#security,
      registry: this.registry,
      random,
      log,
    });
  }

  #every(ms: number, run: () => void): void {
    const timer = setInterval(run, ms);
    this.#stop.signal.addEventListener('abort', () => clearInterval(timer));
  }

  /** Agrees with the cache's other agents on what must be the same for all; then listens to events. */
  async #identify(): Promise<void> {
    const { log } = this.#env;
    while (!this.#stop.signal.aborted && !this.#identified) {
      try {
        await ensureCache(this.#connections.next(), this.#l2.options);
        this.#identified = true;
        this.#outbox.start();
        if (this.#config.eventDriven) this.#feed.start();
        else
          log.warn(
            'events are off (CACHE_ENABLE_EVENT_DRIVEN): critical namespaces are answered from Redis only',
          );
      } catch (error) {
        if (error instanceof AgentError && error.code === 'EC_PARTITIONS_MISMATCH') {
          this.#fail(error);
          return;
        }
        log.debug({ error: messageOf(error) }, 'waiting for Redis');
        await new Promise((resolve) => setTimeout(resolve, IDENTITY_RETRY_MS * (0.5 + this.#env.random())));
      }
    }
  }

  #buildInbox(): Inbox {
    return new Inbox({
      maxItemsPerLane: MAX_INBOX_PER_LANE,
      batchMs: BATCH_MS,
      now: this.#env.now,
      schedule: (run) => setImmediate(run),
      apply: (item) => this.#events.apply(item),
      overflow: (partition, lane, dropped) => this.#events.overflow(partition, lane, dropped),
    });
  }

  #buildFeed(): Feed {
    const { log, now, random } = this.#env;
    return new Feed({
      config: this.#config,
      l2: this.#l2,
      commands: this.#connections.next,
      agentId: this.id,
      log,
      now,
      random,
      handlers: {
        event: (partition, event) => this.#events.receive(partition, event),
        reset: (partition) => this.#events.reset(partition),
        acknowledged: (partition, text) => {
          const [eventId, agentId] = text.split(' ');
          if (eventId !== undefined && agentId !== undefined)
            this.#confirmations.acknowledge(eventId, partition, agentId);
        },
        afterApplied: (lane, passed) => this.#inbox.afterApplied(lane, passed),
        reached: (partition, answered) => this.#reached(partition, answered),
      },
    });
  }

  #buildEventPath({ propagation }: ObservedMetrics): EventPath {
    return new EventPath({
      agentId: this.id,
      namespaces: () => this.#namespaces,
      feed: this.#feed,
      inbox: this.#inbox,
      l1: this.#l1,
      l2: this.#l2,
      reader: this.#reader,
      invalidator: this.#invalidator,
      confirmations: this.#confirmations,
      watchers: this.#watchers,
      warmUp: this.#warmUp,
      analytics: this.#analytics,
      ttl: this.#ttl,
      propagation: this.#propagation,
      live: this.#page.live,
      propagationMetric: propagation,
      tracing: this.#env.tracing,
      log: this.#env.log,
    });
  }

  #buildMonitor(): RedisMonitor {
    return new RedisMonitor({
      connections: this.#connections,
      intervalMs: this.#config.healthCheckIntervalSeconds * 1000,
      now: this.#env.now,
      log: this.#env.log,
      limitBytes: () =>
        this.#config.namespaces.reduce((sum, { l2MemoryLimitBytes }) => sum + l2MemoryLimitBytes, 0),
      findMissingRights: () => findMissingRights(this.#connections.next(), this.#config.cacheId, this.id),
      readUsage: () => readUsage(this.#l2),
    });
  }

  #buildSecurity(): PortSecurity {
    const { now, wallClock, log, variables = {}, kubernetes } = this.#env;
    const { security, tokens } = this.#config;
    const { registry } = this;
    return new PortSecurity({
      config: security,
      tokens,
      kubernetes,
      env: variables,
      registry,
      now,
      wallClock,
      log,
    });
  }

  #buildMeter(): CallMeter | undefined {
    const { now, log, random } = this.#env;
    const { guard } = this.#security;
    const { security: config } = this.#config;
    return buildCallMeter({ config, registry: this.registry, guard, log, now, random });
  }

  #buildService(): Service {
    return new Service({
      namespaces: () => this.#namespaces,
      nodeId: this.#config.nodeId,
      reader: this.#reader,
      changes: this.#changes,
      confirmations: this.#confirmations,
      l2: this.#l2,
      ttl: this.#ttl,
      traceparent: this.#env.tracing?.traceparent,
      wallClock: this.#env.wallClock,
    });
  }

  #buildExplainer(): Explainer {
    return new Explainer({
      nodeId: this.#config.nodeId,
      agentId: this.id,
      namespaces: () => this.#namespaces,
      maxStalenessMs: () => this.#config.maxStalenessMs,
      l1: this.#l1,
      l2: this.#l2,
      reader: this.#reader,
      partitions: this.#feed.partitions,
      inbox: this.#inbox,
      isQueued: (partition, namespace, key, tags) => this.#outbox.covers(partition, namespace, key, tags),
      commands: this.#connections.next,
      now: this.#env.now,
    });
  }

  #buildSources(startedAt: number): StatsSources {
    return {
      config: () => this.#config,
      l1: this.#l1,
      l2: this.#l2,
      reader: this.#reader,
      analytics: this.#analytics,
      ttl: this.#ttl,
      feed: this.#feed,
      inbox: this.#inbox,
      outbox: this.#outbox,
      changes: this.#changes,
      watchers: this.#watchers,
      pressure: this.#size.pressure,
      warmUp: this.#warmUp,
      memoryUses: this.#memory,
      wallClock: this.#env.wallClock,
      connections: this.#connections,
      propagation: this.#propagation,
      monitor: this.#monitor,
      now: this.#env.now,
      startedAt,
      eventsApplied: () => this.#events.applied,
      audit: this.#audit,
      configHash: () => this.#reloads.hash,
    };
  }

  /** How a partition's master answered, to whomever. */
  #reached(index: number, answered: boolean): void {
    const partition = this.#feed.partitions[index];
    if (!answered) partition?.noteUnreachable(this.#env.now());
    else if (partition?.noteReachable(this.#env.now(), this.#config.maxStalenessMs)) {
      this.#outbox.wake(index);
      // Changes that other agents had queued are about to come.
      if (partition.settlingUntil > this.#env.now()) this.#watchers.reset('Redis was out of reach');
    }
  }
}

function byName(namespaces: readonly Namespace[]): ReadonlyMap<string, Namespace> {
  return new Map(namespaces.map((rules) => [rules.name, rules]));
}
