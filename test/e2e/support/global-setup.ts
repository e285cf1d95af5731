import type { TestProject } from 'vitest/node';
import { run } from '../../../hack/cluster/commands.ts';
import { ensureRedis, type PreparedCluster, prepareCluster } from '../../../hack/cluster/prepare.ts';
import { EXAMPLE_NAMESPACE, OPERATOR_NAMESPACE, REDIS_SERVICE } from '../../../hack/cluster/settings.ts';
import { NAMESPACE } from './cluster.ts';

/** Not the name of `npm run kind:up`: the tests kill, drain and uninstall. */
const CLUSTER = 'edgecache-e2e';
const EXIT_INTERRUPTED = 130;
const startedAt = Math.floor(Date.now() / 1000);
// The scripts that are called count from here too.
process.env['EDGECACHE_STARTED_AT'] = String(startedAt);

/**
 * The cluster that all files share: that of E2E_KUBECONFIG, or one of kind's that is made here and removed at the end,
 * unless E2E_KEEP=1. What a file needs installed, it installs itself.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const kubeConfig = process.env['E2E_KUBECONFIG'];
  const interrupt = new AbortController();
  let removing: Promise<void> | undefined;
  // vitest, whose workers Ctrl-C ends as well, may ask for it while the listener is at it.
  const removal = () => {
    removing ??= preparing.then(
      ({ remove }) => remove(),
      () => (kubeConfig === undefined ? removeKindCluster() : undefined),
    );
    return removing;
  };
  const preparing = kubeConfig === undefined ? ownCluster(interrupt.signal) : givenCluster(kubeConfig);
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    // vitest's own listener ends the process within a millisecond, and leaves the cluster behind.
    process.removeAllListeners(name);
    process.once(name, () => {
      interrupt.abort();
      void removal().finally(() => process.exit(EXIT_INTERRUPTED));
    });
  }
  const { cluster } = await preparing.catch(async (error: unknown) => {
    // The listener ends it, when all is removed.
    if (interrupt.signal.aborted) await new Promise(() => undefined);
    throw error;
  });
  project.provide('cluster', cluster);
  say('the cluster is there; the tests begin');
  return removal;
}

interface SharedCluster {
  readonly cluster: PreparedCluster;
  readonly remove: () => Promise<void>;
}

async function ownCluster(signal: AbortSignal): Promise<SharedCluster> {
  try {
    return { cluster: await prepareCluster({ name: CLUSTER, say, signal }), remove: removeKindCluster };
  } catch (error) {
    // vitest calls no teardown where the setup failed.
    if (!signal.aborted) await removeKindCluster();
    throw error;
  }
}

function say(line: string): void {
  const seconds = Math.floor(Date.now() / 1000) - startedAt;
  process.stderr.write(`[${String(seconds).padStart(4)}s] == ${line}\n`);
}

async function removeKindCluster(): Promise<void> {
  if (process.env['E2E_KEEP'] === '1')
    say(`the cluster ${CLUSTER} is kept; npm run kind:down -- --name ${CLUSTER} removes it`);
  else await run('hack/kind/down.sh', [CLUSTER], { isTalkative: true });
}

/** @throws where somebody uses Edge Cache: the tests take the operator away. */
async function givenCluster(kubeConfig: string): Promise<SharedCluster> {
  const [agent, operator] = process.env['E2E_IMAGES']?.split(',') ?? [];
  if (agent === undefined || operator === undefined)
    throw new Error(
      'E2E_IMAGES must name the images of agent and operator, with a comma between, where E2E_KUBECONFIG is set',
    );
  const kubectl = (...args: readonly string[]) => run('kubectl', args, { kubeConfig });
  const tiers = await kubectl('get', 'ect', '-A', '-o', 'name', '--ignore-not-found').catch(() => '');
  if (tiers.trim() !== '')
    throw new Error(`E2E_KUBECONFIG: the cluster has tiers (${tiers.trim()}); delete them first`);
  const redis = ['statefulset', REDIS_SERVICE, '-n', EXAMPLE_NAMESPACE];
  if ((await kubectl('get', ...redis, '--ignore-not-found')) === '') {
    const image = process.env['E2E_REDIS_IMAGE'];
    if (image === undefined)
      throw new Error(
        `E2E_REDIS_IMAGE must name an image of Redis 7: the cluster has no StatefulSet ${REDIS_SERVICE}`,
      );
    say(`making a Redis Cluster of ${image}, which stays`);
    await ensureRedis(kubeConfig, image);
  }
  const remove = async () => {
    say(`deleting the namespaces ${NAMESPACE} and ${OPERATOR_NAMESPACE}`);
    await kubectl('delete', 'namespace', NAMESPACE, OPERATOR_NAMESPACE, '--ignore-not-found');
  };
  return { cluster: { kubeConfig, images: { agent, operator } }, remove };
}
