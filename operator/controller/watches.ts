import type { Logger } from 'pino';
import { TIER_LABEL } from '../../api/well-known.ts';
import { tierKeyOf } from '../agents/endpoints.ts';
import type { KubeClient } from '../kube/client.ts';
import type { KubeObject } from '../kube/object.ts';
import { type ChangeHandler, Reflector, type ReflectorTiming } from '../kube/reflector.ts';
import {
  CERTIFICATES,
  CONFIG_MAPS,
  DAEMON_SETS,
  ENDPOINT_SLICES,
  NETWORK_POLICIES,
  NODES,
  type Resource,
  SERVICE_ACCOUNTS,
  SERVICE_MONITORS,
  SERVICES,
  TIERS,
} from '../kube/resources.ts';
import { canonicalJson } from '../manifests/canonical.ts';
import { ENDPOINTS_LABEL, MANAGED_SELECTOR } from '../manifests/names.ts';
import type { ChildCache } from './children.ts';
import { OptionalKind } from './optional-kinds.ts';

export interface WatchHandlers {
  /** Look at a tier now. */
  readonly enqueue: (tierKey: string) => void;
  /** Look at a tier soon: many of these in a row are one. */
  readonly enqueueSoon: (tierKey: string) => void;
  /** Which nodes are whose may have changed. */
  readonly onPlacement: () => void;
  readonly onSlice: ChangeHandler;
}

export interface WatchesOptions {
  readonly client: KubeClient;
  readonly logger: Logger;
  readonly handlers: WatchHandlers;
  readonly namespace?: string | undefined;
  readonly onRelist: (kind: string) => void;
  readonly timing?: Partial<ReflectorTiming>;
  /** How often to look whether the cluster knows the kinds of other operators. */
  readonly discoveryMs?: number;
}

/** Copies of everything that the operator looks at. Followers keep them too, so that a hand-over is quick. */
export class Watches implements ChildCache {
  readonly tiers: Reflector;
  readonly nodes: Reflector;
  readonly #options: WatchesOptions;
  readonly #children = new Map<string, Reflector>();
  readonly #slices: Reflector;
  readonly #serviceMonitors: OptionalKind;
  readonly #certificates: OptionalKind;

  constructor(options: WatchesOptions) {
    this.#options = options;
    const { handlers } = options;
    this.tiers = this.#reflector(TIERS, (key, now, before) => {
      if (placementOf(now) !== placementOf(before)) handlers.onPlacement();
      // Our own write of the status comes back over the watch; there is nothing to do about it.
      if (isOnlyStatus(now, before)) return;
      handlers.enqueue(key);
    });
    this.nodes = new Reflector({
      ...this.#common(NODES, (_key, now, before) => {
        if (labelsText(now) !== labelsText(before)) handlers.onPlacement();
      }),
      namespace: undefined,
      metadataOnly: true,
    });
    this.#slices = this.#reflector(
      ENDPOINT_SLICES,
      handlers.onSlice,
      `${TIER_LABEL},${ENDPOINTS_LABEL}=agents`,
    );
    for (const resource of [SERVICE_ACCOUNTS, CONFIG_MAPS, NETWORK_POLICIES, SERVICES, DAEMON_SETS])
      this.#children.set(resource.kind, this.#childReflector(resource));
    this.#serviceMonitors = this.#optional(SERVICE_MONITORS);
    this.#certificates = this.#optional(CERTIFICATES);
  }

  get hasServiceMonitors(): boolean {
    return this.#serviceMonitors.isThere ?? false;
  }

  /** Whether the cluster has cert-manager; undefined: that is not known yet. */
  get hasCertificates(): boolean | undefined {
    return this.#certificates.isThere;
  }

  get all(): Reflector[] {
    const optional = [this.#serviceMonitors, this.#certificates].flatMap(({ reflector }) => reflector ?? []);
    return [this.tiers, this.nodes, this.#slices, ...this.#children.values(), ...optional];
  }

  get hasSynced(): boolean {
    return this.all.every((reflector) => reflector.hasSynced);
  }

  get(kind: string, key: string): KubeObject | undefined {
    return this.#of(kind)?.get(key);
  }

  values(kind: string): Iterable<KubeObject> {
    return this.#of(kind)?.values() ?? [];
  }

  /** Resolves when everything has been listed once, or at the signal. */
  async synced(signal: AbortSignal): Promise<void> {
    const aborted = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    const required = [this.tiers, this.nodes, this.#slices, ...this.#children.values()];
    await Promise.race([Promise.all(required.map((reflector) => reflector.synced)), aborted]);
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([
      ...this.all.map((reflector) => reflector.run(signal)),
      this.#serviceMonitors.run(signal),
      this.#certificates.run(signal),
    ]);
  }

  #of(kind: string): Reflector | undefined {
    const optional = [this.#serviceMonitors, this.#certificates].find((other) => other.kind === kind);
    return optional === undefined ? this.#children.get(kind) : optional.reflector;
  }

  #optional(resource: Resource): OptionalKind {
    const { client, logger, discoveryMs = 60_000 } = this.#options;
    return new OptionalKind({
      resource,
      client,
      logger,
      discoveryMs,
      reflector: () => this.#childReflector(resource),
      onArrival: () => this.#enqueueAll(),
    });
  }

  #enqueueAll(): void {
    for (const tier of this.tiers.values())
      this.#options.handlers.enqueue(`${tier.metadata.namespace}/${tier.metadata.name}`);
  }

  #childReflector(resource: Resource): Reflector {
    const { enqueue, enqueueSoon } = this.#options.handlers;
    return this.#reflector(
      resource,
      (_key, now, before) => {
        const owner = tierKeyOf(now ?? before ?? { metadata: { name: '' } });
        if (owner === undefined) return;
        // A rollout over many nodes changes a DaemonSet's status all the time; its spec is what is urgent.
        if (isOnlyStatus(now, before)) enqueueSoon(owner);
        else enqueue(owner);
      },
      MANAGED_SELECTOR,
    );
  }

  #reflector(resource: Resource, onChange: ChangeHandler, labelSelector?: string): Reflector {
    return new Reflector({
      ...this.#common(resource, onChange),
      ...(labelSelector === undefined ? {} : { labelSelector }),
    });
  }

  #common(resource: Resource, onChange: ChangeHandler) {
    const { client, logger, namespace, onRelist, timing } = this.#options;
    return {
      client,
      logger,
      namespace,
      resource,
      onChange,
      onRelist,
      ...(timing === undefined ? {} : { timing }),
    };
  }
}

function labelsText(object: KubeObject | undefined): string {
  return object === undefined ? '' : canonicalJson(object.metadata.labels ?? {});
}

function placementOf(tier: KubeObject | undefined): string {
  if (tier === undefined) return '';
  const spec = tier['spec'] as Record<string, unknown> | undefined;
  return canonicalJson([spec?.['region'], spec?.['nodeSelector'], tier.metadata.deletionTimestamp]);
}

/** Everything but status and resource version is as it was. */
function isOnlyStatus(now: KubeObject | undefined, before: KubeObject | undefined): boolean {
  if (now === undefined || before === undefined) return false;
  return withoutStatus(now) === withoutStatus(before);
}

function withoutStatus(object: KubeObject): string {
  const { status: _status, metadata, ...rest } = object;
  const { resourceVersion: _resourceVersion, ...others } = metadata;
  return canonicalJson([others, rest]);
}
