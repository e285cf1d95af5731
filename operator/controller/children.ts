import { TIER_LABEL } from '../../api/well-known.ts';
import { isInvalid, isNotFound, NameTakenError } from '../errors.ts';
import { apply, mergePatch } from '../kube/apply.ts';
import type { KubeClient } from '../kube/client.ts';
import { asStored, correction, hasDrifted } from '../kube/drift.ts';
import { type KubeObject, keyOf } from '../kube/object.ts';
import { CHILD_RESOURCES, childResourceOf, type Resource } from '../kube/resources.ts';
import { APPLIED_HASH_ANNOTATION, isOwnedBy } from '../manifests/names.ts';

/** What was done to a child. */
export type Outcome = 'unchanged' | 'created' | 'updated' | 'corrected' | 'pruned';

export interface Change {
  readonly outcome: Outcome;
  readonly kind: string;
  readonly name: string;
}

/** The copies of children that the watches keep. */
export interface ChildCache {
  get(kind: string, key: string): KubeObject | undefined;
  values(kind: string): Iterable<KubeObject>;
}

/** Makes the children in the cluster what they should be, with no request where they already are. */
export class Children {
  readonly #client: KubeClient;
  readonly #cache: ChildCache;
  /** What the server made of what was applied, by child. */
  readonly #stored = new Map<string, { hash: string; object: unknown }>();

  constructor(client: KubeClient, cache: ChildCache) {
    this.#client = client;
    this.#cache = cache;
  }

  /** @throws NameTakenError where something of the same name belongs to somebody else */
  async ensure(wanted: KubeObject, tierUid: string | undefined, signal: AbortSignal): Promise<Change> {
    const outcome = await this.#ensure(wanted, tierUid, signal);
    return { outcome, kind: wanted.kind ?? '', name: wanted.metadata.name };
  }

  async #ensure(wanted: KubeObject, tierUid: string | undefined, signal: AbortSignal): Promise<Outcome> {
    const cached = this.#cache.get(wanted.kind ?? '', keyOf(wanted));
    if (cached !== undefined && isOwnedBy(cached, tierUid) && !this.#differs(wanted, cached))
      return 'unchanged';
    // The copy may lag behind what we have just written ourselves: look before touching anything.
    const live = await this.#read(wanted, signal);
    if (live !== undefined && !isOwnedBy(live, tierUid))
      throw new NameTakenError(wanted.kind ?? '', wanted.metadata.name);
    if (live !== undefined && !this.#differs(wanted, live)) return 'unchanged';
    await this.#write(wanted, live, signal);
    if (live === undefined) return 'created';
    return isSameWish(wanted, live) ? 'corrected' : 'updated';
  }

  /** Deletes children of the tier that it no longer stands for. */
  async prune(tier: KubeObject, wanted: readonly KubeObject[], signal: AbortSignal): Promise<Change[]> {
    const keep = new Set(wanted.map(idOf));
    const changes: Change[] = [];
    for (const [resource, child] of this.#ofTier(tier)) {
      const object = { ...child, kind: resource.kind };
      if (keep.has(idOf(object)) || child.metadata.deletionTimestamp !== undefined) continue;
      await this.#client.delete(resource, child, signal).catch(ignoreNotFound);
      this.#stored.delete(idOf(object));
      changes.push({ outcome: 'pruned', kind: resource.kind, name: child.metadata.name });
    }
    return changes;
  }

  /** Drops what is remembered about a tier that is gone. */
  forget(namespace: string, tierName: string): void {
    for (const [id, { object }] of this.#stored) {
      const { metadata } = object as KubeObject;
      if (metadata.namespace === namespace && metadata.labels?.[TIER_LABEL] === tierName)
        this.#stored.delete(id);
    }
  }

  *#ofTier(tier: KubeObject): Iterable<[Resource, KubeObject]> {
    for (const resource of CHILD_RESOURCES) {
      for (const child of this.#cache.values(resource.kind)) {
        if (child.metadata.namespace === tier.metadata.namespace && isOwnedBy(child, tier.metadata.uid))
          yield [resource, child];
      }
    }
  }

  #differs(wanted: KubeObject, live: KubeObject): boolean {
    if (!isSameWish(wanted, live)) return true;
    const stored = this.#stored.get(idOf(wanted));
    const expected = stored?.hash === hashOf(wanted) ? stored.object : content(wanted);
    return hasDrifted(expected, live);
  }

  async #write(wanted: KubeObject, live: KubeObject | undefined, signal: AbortSignal): Promise<void> {
    const resource = childResourceOf(wanted);
    const patch = live === undefined ? undefined : correction(content(wanted), live);
    if (patch !== undefined) await mergePatch(this.#client, resource, wanted, patch, signal);
    const written = await apply(this.#client, resource, wanted, signal).catch(async (error: unknown) => {
      if (live === undefined || !isInvalid(error)) throw error;
      // Somebody's field beside ours makes the whole invalid, and apply leaves it there: a variable's value beside our
      // valueFrom. A merge patch replaces lists whole, and what stands in their items with them.
      await mergePatch(this.#client, resource, wanted, { spec: wanted['spec'] }, signal);
      return await apply(this.#client, resource, wanted, signal);
    });
    this.#stored.set(idOf(wanted), { hash: hashOf(wanted), object: asStored(content(wanted), written) });
  }

  async #read(wanted: KubeObject, signal: AbortSignal): Promise<KubeObject | undefined> {
    const { namespace, name } = wanted.metadata;
    try {
      return await this.#client.get(childResourceOf(wanted), { namespace, name }, signal);
    } catch (error) {
      return ignoreNotFound(error);
    }
  }
}

function ignoreNotFound(error: unknown): undefined {
  if (!isNotFound(error)) throw error;
  return undefined;
}

const idOf = (object: KubeObject): string => `${object.kind} ${keyOf(object)}`;
const hashOf = (object: KubeObject): string => object.metadata.annotations?.[APPLIED_HASH_ANNOTATION] ?? '';
const isSameWish = (a: KubeObject, b: KubeObject): boolean => hashOf(a) === hashOf(b);

/** Lists of a kind leave out apiVersion and kind in their items. */
function content(object: KubeObject): Record<string, unknown> {
  const { apiVersion: _apiVersion, kind: _kind, ...rest } = object;
  return rest;
}
