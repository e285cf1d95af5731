import { join } from 'node:path';
import { inject } from 'vitest';
import { z } from 'zod';
import { run } from '../../../hack/cluster/commands.ts';
import type { PreparedCluster } from '../../../hack/cluster/prepare.ts';
import { ROOT } from '../../../hack/cluster/settings.ts';

declare module 'vitest' {
  interface ProvidedContext {
    cluster: PreparedCluster;
  }
}

/** Namespace of what the tests make. Pod Security `restricted` is enforced there. */
export const NAMESPACE = 'edgecache-e2e';

const objectSchema = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().optional(),
    uid: z.string(),
    labels: z.record(z.string(), z.string()).default({}),
  }),
});
const listSchema = z.object({ items: z.array(objectSchema) });
export type ClusterObject = z.infer<typeof objectSchema>;

export function kubectl(...args: readonly string[]): Promise<string> {
  return run('kubectl', args, { kubeConfig: inject('cluster').kubeConfig });
}

export function helm(...args: readonly string[]): Promise<string> {
  return run('helm', args, { kubeConfig: inject('cluster').kubeConfig });
}

/** The project's command line, from outside the cluster, as a plugin of kubectl. */
export function edgecache(...args: readonly string[]): Promise<string> {
  return run(join(ROOT, 'bin/kubectl-edgecache'), args, { kubeConfig: inject('cluster').kubeConfig });
}

export async function apply(manifest: unknown, ...args: readonly string[]): Promise<string> {
  const { kubeConfig } = inject('cluster');
  return await run('kubectl', ['apply', ...args, '-f', '-'], { kubeConfig, input: JSON.stringify(manifest) });
}

/** Objects of a kind, such as `list('pods', '-l', 'app=x')`, in the tests' namespace if none is given. */
export async function list(kind: string, ...args: readonly string[]): Promise<ClusterObject[]> {
  const where = args.includes('-n') || args.includes('-A') ? [] : ['-n', NAMESPACE];
  return listSchema.parse(JSON.parse(await kubectl('get', kind, ...where, ...args, '-o', 'json'))).items;
}

const podSchema = z.object({
  metadata: z.object({ name: z.string(), uid: z.string(), deletionTimestamp: z.string().optional() }),
  spec: z.object({ nodeName: z.string().optional() }),
  status: z.object({
    podIP: z.string().optional(),
    conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]),
    containerStatuses: z
      .array(z.object({ restartCount: z.number(), containerID: z.string().optional() }))
      .default([]),
  }),
});

export interface Pod {
  readonly name: string;
  readonly uid: string;
  readonly node: string;
  readonly ip: string;
  readonly isReady: boolean;
  readonly restarts: number;
  readonly containerId: string;
}

/** Pods that are not on their way out, in the order of their nodes. */
export async function pods(selector: string, namespace = NAMESPACE): Promise<Pod[]> {
  const items = await list('pods', '-n', namespace, '-l', selector);
  return items
    .map((item) => podSchema.parse(item))
    .filter((pod) => pod.metadata.deletionTimestamp === undefined)
    .map(({ metadata, spec, status }) => ({
      name: metadata.name,
      uid: metadata.uid,
      node: spec.nodeName ?? '',
      ip: status.podIP ?? '',
      isReady: status.conditions.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
      restarts: status.containerStatuses.reduce((sum, { restartCount }) => sum + restartCount, 0),
      containerId: (status.containerStatuses[0]?.containerID ?? '').replace('containerd://', ''),
    }))
    .sort((a, b) => a.node.localeCompare(b.node));
}

/** Nodes that take any pod. */
export async function workers(): Promise<string[]> {
  const nodes = await list('nodes', '-l', '!node-role.kubernetes.io/control-plane');
  return nodes.map((node) => node.metadata.name).sort();
}
