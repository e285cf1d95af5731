import { inject } from 'vitest';
import { z } from 'zod';
import { run } from '../../../hack/cluster/commands.ts';
import { OPERATOR_NAMESPACE } from '../../../hack/cluster/settings.ts';
import { kubectl, type Pod, pods } from './cluster.ts';

const LEASE = 'edgecache-operator';
const leaseSchema = z.object({
  spec: z.object({ holderIdentity: z.string().default(''), leaseTransitions: z.number().default(0) }),
});

export interface Leadership {
  readonly holder: string;
  readonly transitions: number;
}

export const operators = (): Promise<Pod[]> =>
  pods('app.kubernetes.io/name=edgecache-operator', OPERATOR_NAMESPACE);

export async function leadership(): Promise<Leadership> {
  const text = await kubectl('get', 'lease', LEASE, '-n', OPERATOR_NAMESPACE, '-o', 'json');
  const { spec } = leaseSchema.parse(JSON.parse(text));
  return { holder: spec.holderIdentity, transitions: spec.leaseTransitions };
}

/** The pod that leads; undefined between two leaders. */
export async function leader(): Promise<Pod | undefined> {
  const { holder } = await leadership();
  return (await operators()).find((pod) => holder.startsWith(pod.name));
}

/** Takes the pod away at once, as a node that dies does: nothing is handed over if the kernel can help it. */
export async function killPod(name: string, namespace: string): Promise<void> {
  await kubectl('delete', 'pod', name, '-n', namespace, '--grace-period=0', '--force', '--wait=false');
}

/** Ends a container's process by SIGKILL, which it cannot catch. Only for nodes that are Docker containers here, as kind's are. */
export async function crash(pod: Pod): Promise<boolean> {
  const { kubeConfig } = inject('cluster');
  const task = `ctr -n k8s.io task ls | awk -v id=${pod.containerId} '$1 == id { print $2 }'`;
  const pid = await run('docker', ['exec', pod.node, 'sh', '-c', task], { kubeConfig }).catch(() => '');
  if (pid.trim() === '') return false;
  await run('docker', ['exec', pod.node, 'kill', '-9', pid.trim()], { kubeConfig });
  return true;
}
