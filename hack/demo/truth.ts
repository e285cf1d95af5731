/** When a resource's revision was replaced; kept for as long as a read may still be judged by it. */
const KEPT = 64;

/**
 * What was true when. A read is stale if the revision that it gave had been replaced, in the source of truth, longer
 * before the read began than the bound allows.
 */
export class Truth {
  readonly #replacedAt = new Map<string, Map<number, number>>();
  readonly #boundMs: number;
  readonly #now: () => number;
  checked = 0;
  stale = 0;
  /** Oldest replaced value that was read, in milliseconds; within the bound that is allowed. */
  worstMs = 0;

  constructor(boundMs: number, now: () => number) {
    this.#boundMs = boundMs;
    this.#now = now;
  }

  /** To be called when a resource gets a revision: the one before it is replaced. */
  changed(resource: string, revision: number): void {
    let replaced = this.#replacedAt.get(resource);
    if (replaced === undefined) {
      replaced = new Map();
      this.#replacedAt.set(resource, replaced);
    }
    replaced.set(revision - 1, this.#now());
    if (replaced.size > KEPT) {
      const oldest = replaced.keys().next();
      if (!oldest.done) replaced.delete(oldest.value);
    }
  }

  /** Judges a read that began at a time and gave a revision. A revision too old to be remembered is stale. */
  check(resource: string, revision: number, beganAt: number): void {
    this.checked += 1;
    const replaced = this.#replacedAt.get(resource);
    if (replaced === undefined) return;
    const [oldest] = replaced.keys();
    const at = replaced.get(revision) ?? (oldest !== undefined && revision < oldest ? 0 : undefined);
    if (at === undefined) return;
    const ageMs = beganAt - at;
    if (ageMs > this.worstMs) this.worstMs = ageMs;
    if (ageMs > this.#boundMs) this.stale += 1;
  }
}
