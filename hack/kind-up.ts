import { parseArgs } from 'node:util';
import { run } from './cluster/commands.ts';
import { installOperator, type PreparedCluster, prepareCluster } from './cluster/prepare.ts';
import {
  CLUSTER_NAME,
  EXAMPLE_NAMESPACE,
  EXAMPLES,
  OPERATOR_NAMESPACE,
  RELEASE,
  TOOLS_DIR,
} from './cluster/settings.ts';

const HELP = `Usage: npm run kind:up -- [--name NAME] [--bare] [--offline] [--recreate]

Brings up a kind cluster of three nodes in two regions with a Redis Cluster, installs Edge Cache and makes the tiers
of examples/. What is there already is kept, so it may be run again: after a change of the sources it upgrades.

  --name NAME   of the cluster (${CLUSTER_NAME})
  --bare        no Edge Cache: only cluster, images and Redis, for E2E_KUBECONFIG
  --offline     builds the node image even if an image registry answers
  --recreate    removes the cluster first
  --help        this text

Prints on stdout the line that makes kubectl and helm use it: eval "$(npm run -s kind:up)".
Needs Debian and root where no image registry is in reach. \`npm run kind:down\` removes it.
`;
/** From the first pod of an agent, on a machine that is busy. */
const TIERS_TIMEOUT = '180s';
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

interface Options {
  readonly name: string;
  readonly bare: boolean;
  readonly offline: boolean;
  readonly recreate: boolean;
  readonly help: boolean;
}

const startedAt = Math.floor(Date.now() / 1000);
// The scripts that are called count from here too.
process.env['EDGECACHE_STARTED_AT'] = String(startedAt);
process.exitCode = await main();

async function main(): Promise<number> {
  let options: Options;
  try {
    options = parseOptions();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return EXIT_USAGE;
  }
  if (options.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const interrupt = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupt.abort());
  try {
    await bringUp(options, interrupt.signal);
    return 0;
  } catch (error) {
    if (interrupt.signal.aborted) {
      say('interrupted; run it again to go on, or npm run kind:down');
      return EXIT_INTERRUPTED;
    }
    say(`failed: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  }
}

function parseOptions(): Options {
  const flag = { type: 'boolean', default: false } as const;
  const { values } = parseArgs({
    options: {
      name: { type: 'string', default: CLUSTER_NAME },
      bare: flag,
      offline: flag,
      recreate: flag,
      help: flag,
    },
  });
  if (!/^[a-z0-9][a-z0-9.-]{0,39}$/.test(values.name))
    throw new Error(`--name: got '${values.name}'; must be lower case letters, digits, "-" and "."`);
  return values;
}

function say(line: string): void {
  const seconds = Math.floor(Date.now() / 1000) - startedAt;
  process.stderr.write(`[${String(seconds).padStart(4)}s] == ${line}\n`);
}

async function bringUp({ name, bare, offline, recreate }: Options, signal: AbortSignal): Promise<void> {
  const upArguments = [...(offline ? ['--offline'] : []), ...(recreate ? ['--recreate'] : [])];
  const cluster = await prepareCluster({ name, say, signal, upArguments });
  if (!bare) {
    say('installing the operator with Helm');
    await installOperator(cluster, ['--set', `test.tier=edge-us-east,test.namespace=${EXAMPLE_NAMESPACE}`], {
      signal,
    });
    say('making the tiers of examples/');
    const { kubeConfig } = cluster;
    await run('kubectl', ['apply', '-f', EXAMPLES], { kubeConfig, signal });
    await run(
      'kubectl',
      ['wait', '-f', EXAMPLES, '-R=false', '--for', 'condition=Ready', '--timeout', TIERS_TIMEOUT],
      {
        kubeConfig,
        signal,
      },
    );
    process.stderr.write(`\n${await run('kubectl', ['get', 'ect', '-A'], { kubeConfig, signal })}\n`);
  }
  say('all is up');
  process.stderr.write(nextSteps(cluster, bare));
  // Alone on stdout, for the shell: eval "$(npm run -s kind:up)".
  process.stdout.write(`${environmentOf(cluster)}\n`);
}

function environmentOf({ kubeConfig }: PreparedCluster): string {
  return `export KUBECONFIG=${kubeConfig} PATH=${TOOLS_DIR}:$PATH`;
}

function nextSteps(cluster: PreparedCluster, bare: boolean): string {
  const { agent, operator } = cluster.images;
  if (bare)
    return `
The end-to-end tests against this cluster, once the line at the end is in your shell:

  E2E_KUBECONFIG=$KUBECONFIG E2E_IMAGES=${agent},${operator} npm run test:e2e

`;
  return `
Try, once the line at the end is in your shell:

  kubectl get ect -A                       # the tiers: agents, hit ratio, whether all is well
  kubectl describe ect edge-us-east        # what is so, why, and what happened
  helm test ${RELEASE} -n ${OPERATOR_NAMESPACE}  # a real put, lookup and invalidation
  kubectl patch ect edge-us-east --type merge -p '{"spec":{"l1":{"ttlSeconds":45}}}'   # reaches agents without a restart
  kubectl delete pod redis-cluster-0       # a fault: see kubectl get ect -w
  npm run kind:down                        # the end of it

docs/quickstart.md goes through it.

`;
}
