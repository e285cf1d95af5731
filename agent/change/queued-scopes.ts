import type { ChangePart } from '../l2/l2.ts';

/** What the changes that wait for a partition will write or invalidate, so that nothing older is answered meanwhile. */
export class QueuedScopes {
  readonly #counts = new Map<string, number>();

  add(part: ChangePart): void {
    for (const scope of scopesOf(part)) this.#counts.set(scope, (this.#counts.get(scope) ?? 0) + 1);
  }

  remove(part: ChangePart): void {
    for (const scope of scopesOf(part)) {
      const left = (this.#counts.get(scope) ?? 0) - 1;
      if (left > 0) this.#counts.set(scope, left);
      else this.#counts.delete(scope);
    }
  }

  covers(namespace: string, key: string, tags: readonly string[]): boolean {
    return (
      this.#counts.has(keyScope(namespace, key)) ||
      this.#counts.has(namespaceScope(namespace)) ||
      tags.some((tag) => this.#counts.has(tagScope(namespace, tag)))
    );
  }
}

const keyScope = (namespace: string, key: string) => `k:${namespace}:${key}`;
const tagScope = (namespace: string, tag: string) => `t:${namespace}:${tag}`;
const namespaceScope = (namespace: string) => `n:${namespace}`;

function scopesOf({ put, keys, tagMarkers, namespaceMarkers }: ChangePart): string[] {
  return [
    ...(put === undefined ? [] : [keyScope(put.namespace, put.key)]),
    ...keys.map(({ namespace, key }) => keyScope(namespace, key)),
    ...tagMarkers.map(({ namespace, tag }) => tagScope(namespace, tag)),
    ...namespaceMarkers.map(namespaceScope),
  ];
}
