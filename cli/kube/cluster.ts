import { CoreV1Api, CustomObjectsApi, KubeConfig } from '@kubernetes/client-node';
import { z } from 'zod';
import { tierStatusSchema } from '../../api/tier-status.ts';
import { GRPC_PORT, TIER_LABEL } from '../../api/well-known.ts';
import { CliError } from '../command.ts';
import type { AgentPod } from './forwards.ts';

/** Which part of a cluster is meant. */
export interface Scope {
  readonly context?: string | undefined;
  /** Of Kubernetes; undefined: the context's. */
  readonly namespace?: string | undefined;
  readonly allNamespaces: boolean;
  readonly tier?: string | undefined;
}

const tierSchema = z.looseObject({
  metadata: z.looseObject({ name: z.string(), namespace: z.string(), creationTimestamp: z.string() }),
  spec: z.looseObject({ region: z.string(), tier: z.string() }),
  status: tierStatusSchema.partial().catch({}).default({}),
});
const tiersSchema = z.object({ items: z.array(tierSchema) });
export type TierObject = z.infer<typeof tierSchema>;

/** The cluster that a kubeconfig names. */
export class Cluster {
  readonly config: KubeConfig;
  readonly #scope: Scope;

  /** @throws CliError where there is no such context */
  constructor(scope: Scope) {
    this.#scope = scope;
    this.config = new KubeConfig();
    this.config.loadFromDefault();
    if (scope.context !== undefined) {
      const names = this.config.contexts.map(({ name }) => name);
      if (!names.includes(scope.context))
        throw new CliError(
          `--context: there is no ${scope.context} in the kubeconfig; there are: ${names.join(', ')}`,
        );
      this.config.setCurrentContext(scope.context);
    }
    // Without any kubeconfig the library makes one up, of a server on this machine.
    if (scope.context === undefined && this.config.getCurrentContext() === 'loaded-context')
      throw new CliError('there is no kubeconfig; set KUBECONFIG, or name agents with --address');
    if (this.config.getCurrentCluster() === null)
      throw new CliError(
        'the kubeconfig names no current cluster; set KUBECONFIG, or name agents with --address',
      );
  }

  /** Undefined: all. */
  get namespace(): string | undefined {
    if (this.#scope.allNamespaces) return undefined;
    const context = this.config.getContextObject(this.config.getCurrentContext());
    return this.#scope.namespace ?? context?.namespace ?? 'default';
  }

  /** Pods of agents that run, in the order of their nodes. */
  async agentPods(): Promise<AgentPod[]> {
    const { tier } = this.#scope;
    const labelSelector = tier === undefined ? TIER_LABEL : `${TIER_LABEL}=${tier}`;
    const api = this.config.makeApiClient(CoreV1Api);
    const { namespace } = this;
    const { items } = await asked(
      namespace === undefined
        ? api.listPodForAllNamespaces({ labelSelector })
        : api.listNamespacedPod({ namespace, labelSelector }),
    );
    return items
      .filter(
        ({ status, metadata }) => status?.phase === 'Running' && metadata?.deletionTimestamp === undefined,
      )
      .map(({ metadata, spec }) => ({
        namespace: metadata?.namespace ?? '',
        name: metadata?.name ?? '',
        node: spec?.nodeName ?? '',
        tier: metadata?.labels?.[TIER_LABEL] ?? '',
        port: GRPC_PORT,
      }))
      .sort((a, b) => a.node.localeCompare(b.node) || a.tier.localeCompare(b.tier));
  }

  async tiers(): Promise<TierObject[]> {
    const api = this.config.makeApiClient(CustomObjectsApi);
    const kind = { group: 'edgecache.dev', version: 'v1alpha1', plural: 'edgecachetiers' };
    const { namespace } = this;
    const found: unknown = await asked(
      namespace === undefined
        ? api.listClusterCustomObject(kind)
        : api.listNamespacedCustomObject({ ...kind, namespace }),
    );
    return tiersSchema.parse(found).items;
  }
}

async function asked<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new CliError(`the cluster does not answer: ${text.split('\n')[0]}`, undefined, { cause: error });
  }
}
