import type { Logger } from 'pino';
import { isNotFound } from '../errors.ts';
import type { KubeClient } from '../kube/client.ts';
import { delay } from '../kube/delay.ts';
import type { Reflector } from '../kube/reflector.ts';
import type { Resource } from '../kube/resources.ts';

export interface OptionalKindOptions {
  readonly resource: Resource;
  readonly client: KubeClient;
  readonly logger: Logger;
  readonly discoveryMs: number;
  readonly reflector: () => Reflector;
  /** Tiers are to be looked at again: the kind has come. */
  readonly onArrival: () => void;
}

/** A kind of another operator, which may be installed, and removed, at any time. */
export class OptionalKind {
  readonly #options: OptionalKindOptions;
  #reflector: Reflector | undefined;
  #isAbsent = false;

  constructor(options: OptionalKindOptions) {
    this.#options = options;
  }

  get reflector(): Reflector | undefined {
    return this.#reflector;
  }

  get kind(): string {
    return this.#options.resource.kind;
  }

  /** Whether the cluster knows it; undefined: nobody can tell yet. */
  get isThere(): boolean | undefined {
    if (this.#reflector?.hasSynced) return true;
    return this.#isAbsent ? false : undefined;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { logger, discoveryMs, reflector, onArrival, resource } = this.#options;
    let stop: AbortController | undefined;
    while (!signal.aborted) {
      const isKnown = await this.#isKnown(signal);
      if (isKnown !== undefined) this.#isAbsent = !isKnown;
      if (isKnown === true && stop === undefined) {
        stop = new AbortController();
        logger.info({ kind: resource.kind }, 'the cluster knows a kind of another operator');
        this.#reflector = reflector();
        void this.#reflector.run(AbortSignal.any([signal, stop.signal]));
        void this.#reflector.synced.then(onArrival);
      } else if (isKnown === false && stop !== undefined) {
        stop.abort();
        stop = undefined;
        this.#reflector = undefined;
      }
      await delay(discoveryMs, signal);
    }
  }

  async #isKnown(signal: AbortSignal): Promise<boolean | undefined> {
    const { client, resource } = this.#options;
    try {
      const found = await client.json({ path: `/apis/${resource.apiVersion}`, signal });
      return JSON.stringify(found).includes(`"${resource.plural}"`);
    } catch (error) {
      return isNotFound(error) ? false : undefined;
    }
  }
}
