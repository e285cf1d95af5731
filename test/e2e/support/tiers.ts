import { z } from 'zod';
import { type TierStatus, tierStatusSchema } from '../../../api/tier-status.ts';
import { EXAMPLE_NAMESPACE, REDIS_SERVICE } from '../../../hack/cluster/settings.ts';
import { eventually } from '../../../operator/testing/eventually.ts';
import { apply, kubectl, NAMESPACE, type Pod, pods } from './cluster.ts';

/** For an agent that starts on a busy machine. */
export const READY_MS = 120_000;

/** A tier over all workers: the control plane has a taint that agents do not tolerate. */
export function aTier(name: string, spec: Readonly<Record<string, unknown>> = {}): object {
  return {
    apiVersion: 'edgecache.dev/v1alpha1',
    kind: 'EdgeCacheTier',
    metadata: { name, namespace: NAMESPACE },
    spec: {
      region: 'us-east',
      tier: 'edge',
      cacheId: 'e2e',
      nodeSelector: { 'kubernetes.io/os': 'linux' },
      redis: { mode: 'cluster', nodes: [`${REDIS_SERVICE}.${EXAMPLE_NAMESPACE}:6379`] },
      rollout: { minReadySeconds: 0, maxUnavailable: 1 },
      ...spec,
    },
  };
}

const tierObject = z.object({
  metadata: z.object({ generation: z.number(), uid: z.string() }),
  status: tierStatusSchema.default({}),
});

export interface TierState {
  readonly generation: number;
  readonly uid: string;
  readonly status: TierStatus;
}

export async function tierState(name: string): Promise<TierState> {
  const { metadata, status } = tierObject.parse(
    JSON.parse(await kubectl('get', 'ect', name, '-n', NAMESPACE, '-o', 'json')),
  );
  return { ...metadata, status };
}

export function conditionOf({ status }: TierState, type: string): string | undefined {
  return status.conditions?.find((condition) => condition.type === type)?.status;
}

/** Ready, and every agent runs the newest template and configuration. */
export async function awaitSettled(name: string, agents?: number): Promise<TierState> {
  return await eventually(
    `tier ${name} is ready and rolled out`,
    async () => {
      const state = await tierState(name);
      const isNews = state.status.observedGeneration === state.generation;
      const isCount = agents === undefined || state.status.readyAgents === agents;
      const holds = ['Ready', 'RolloutComplete'].every((type) => conditionOf(state, type) === 'True');
      if (isNews && isCount && holds) return state;
      throw new Error(JSON.stringify(state.status));
    },
    READY_MS,
  );
}

export async function makeTier(
  name: string,
  spec?: Readonly<Record<string, unknown>>,
  agents?: number,
): Promise<TierState> {
  await apply(aTier(name, spec));
  return await awaitSettled(name, agents);
}

export const agentsOf = (tier: string): Promise<Pod[]> => pods(`edgecache.dev/tier=${tier}`);

/** Deletes all tiers of the tests, and waits until their agents are gone. */
export async function deleteTiers(): Promise<void> {
  await kubectl('delete', 'ect', '--all', '-n', NAMESPACE, '--ignore-not-found', '--timeout=60s');
  await eventually('no child of a tier is left', async () => (await childrenOf()) === '', READY_MS);
}

/** Names of all that the operator made for a tier, or for any; empty: nothing. */
export async function childrenOf(tier?: string): Promise<string> {
  const kinds =
    'daemonsets,pods,services,endpointslices,configmaps,secrets,serviceaccounts,networkpolicies,controllerrevisions';
  const label = tier === undefined ? 'edgecache.dev/tier' : `edgecache.dev/tier=${tier}`;
  return (await kubectl('get', kinds, '-n', NAMESPACE, '-l', label, '-o', 'name')).trim();
}
