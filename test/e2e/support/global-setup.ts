import type { TestProject } from 'vitest/node';
import { run } from '../../../hack/cluster/commands.ts';
import { type PreparedCluster, prepareCluster } from '../../../hack/cluster/prepare.ts';
import './cluster.ts';

/** Not the name of `npm run kind:up`: the tests kill, drain and uninstall. */
const CLUSTER = 'edgecache-e2e';

/**
 * The cluster that all files share: that of E2E_KUBECONFIG, or one of kind's that is made here and removed at the end,
 * unless E2E_KEEP=1. What a file needs installed, it installs itself.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env['E2E_KUBECONFIG'];
  if (given !== undefined) {
    project.provide('cluster', await givenCluster(given));
    return async () => undefined;
  }
  const say = (line: string) => process.stderr.write(`== ${line}\n`);
  project.provide('cluster', await prepareCluster({ name: CLUSTER, say }));
  return async () => {
    if (process.env['E2E_KEEP'] === '1')
      say(`the cluster ${CLUSTER} is kept; hack/kind/down.sh ${CLUSTER} removes it`);
    else await run('hack/kind/down.sh', [CLUSTER], { isTalkative: true });
  };
}

/** @throws where somebody uses it: the tests take the operator away. */
async function givenCluster(kubeConfig: string): Promise<PreparedCluster> {
  const [agent, operator] = process.env['E2E_IMAGES']?.split(',') ?? [];
  if (agent === undefined || operator === undefined)
    throw new Error(
      'E2E_IMAGES must name the images of agent and operator, with a comma between, where E2E_KUBECONFIG is set',
    );
  const tiers = await run('kubectl', ['get', 'ect', '-A', '-o', 'name', '--ignore-not-found'], {
    kubeConfig,
  }).catch(() => '');
  if (tiers.trim() !== '')
    throw new Error(`E2E_KUBECONFIG: the cluster has tiers (${tiers.trim()}); delete them first`);
  return { kubeConfig, images: { agent, operator } };
}
