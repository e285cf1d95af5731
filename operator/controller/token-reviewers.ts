import { isNotFound, KubeError, TokenReviewRefusedError } from '../errors.ts';
import { mergePatch } from '../kube/apply.ts';
import type { KubeClient } from '../kube/client.ts';
import { fieldAt, type KubeObject } from '../kube/object.ts';
import { CLUSTER_ROLE_BINDINGS } from '../kube/resources.ts';
import { canonicalJson } from '../manifests/canonical.ts';
import { childName } from '../manifests/names.ts';

/** There is no watch on the binding: it is written anew now and then, should somebody have emptied it. */
const RECHECK_MS = 300_000;

export interface TokenReviewersOptions {
  readonly client: KubeClient;
  /** Of the ClusterRoleBinding that the chart has made. */
  readonly bindingName: string;
  readonly tiers: { values(): Iterable<KubeObject> };
}

/**
 * Lets the agents of tiers that take tokens of ServiceAccounts have them reviewed. Their accounts become subjects of one
 * ClusterRoleBinding of the chart, whose role can do nothing else. One for all, and not one for each tier: the operator
 * then needs no right to make bindings, only to change this one; and nothing is left behind, though nothing that is
 * cluster-wide can be owned by a tier.
 */
export class TokenReviewers {
  readonly #options: TokenReviewersOptions;
  #written: { readonly text: string; readonly at: number } | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(options: TokenReviewersOptions) {
    this.#options = options;
  }

  /**
   * Makes the subjects those of the tiers that there are. One after the other: the last to write has the newest list.
   * @throws TokenReviewRefusedError where tiers need it and the chart does not have it
   */
  ensure(signal: AbortSignal): Promise<void> {
    const done = this.#last.then(() => this.#ensure(signal));
    this.#last = done.catch(() => undefined); // whoever waits hears of it
    return done;
  }

  async #ensure(signal: AbortSignal): Promise<void> {
    const { client, bindingName: name } = this.#options;
    const subjects = this.#subjects();
    const text = canonicalJson(subjects);
    const now = Date.now();
    if (text === this.#written?.text && now - this.#written.at < RECHECK_MS) return;
    try {
      await mergePatch(client, CLUSTER_ROLE_BINDINGS, { metadata: { name } }, { subjects }, signal);
    } catch (error) {
      if (!isAbsent(error)) throw error;
      if (subjects.length > 0) throw new TokenReviewRefusedError(name, error);
      // The chart was installed without it, and nobody wants it.
    }
    this.#written = { text, at: now };
  }

  #subjects(): object[] {
    return [...this.#options.tiers.values()]
      .filter((tier) => fieldAt(tier, 'spec', 'security', 'auth', 'serviceAccounts') === true)
      .filter((tier) => tier.metadata.deletionTimestamp === undefined)
      .map(({ metadata: { name, namespace = 'default' } }) => ({
        kind: 'ServiceAccount',
        name: childName(name),
        namespace,
      }))
      .sort((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1));
  }
}

function isAbsent(error: unknown): error is Error {
  return isNotFound(error) || (error instanceof KubeError && error.status === 403);
}
