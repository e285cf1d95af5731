import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './commands.ts';
import { CHART, EXAMPLE_NAMESPACE, OPERATOR_NAMESPACE, REDIS_SERVICE, RELEASE, ROOT } from './settings.ts';

/** Images by the name of their content: other sources are another tag, so that an upgrade rolls the pods. */
export interface Images {
  readonly agent: string;
  readonly operator: string;
}

export interface PreparedCluster {
  readonly kubeConfig: string;
  readonly images: Images;
}

export interface PrepareOptions {
  readonly name: string;
  readonly say: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
  /** For hack/kind/up.sh. */
  readonly upArguments?: readonly string[];
}

const KIND = join(ROOT, 'hack/kind');
const ROLLOUT_TIMEOUT = '240s';

/** A kind cluster that knows the images of these sources and has a Redis Cluster. What is there already is kept. */
export async function prepareCluster(options: PrepareOptions): Promise<PreparedCluster> {
  const { name, say, signal } = options;
  say(`bringing up the kind cluster ${name} and building the images (with nothing in any cache: 15 minutes)`);
  await run(join(KIND, 'docker.sh'), ['start'], { signal, isTalkative: true });
  const [kubeConfig, images] = await together(
    lastLine(run(join(KIND, 'up.sh'), [name, ...(options.upArguments ?? [])], { signal, isTalkative: true })),
    buildImages(signal),
  );
  const redisImage = await lastLine(run(join(KIND, 'redis-image.sh'), [name], { signal, isTalkative: true }));
  say('loading the images into the nodes');
  const load = ['--name', name, '--workers', redisImage, images.agent, images.operator];
  await run(join(KIND, 'load-image.sh'), load, { signal, isTalkative: true });
  say('starting a Redis Cluster of three masters and three replicas');
  await ensureRedis(kubeConfig, redisImage, signal);
  return { kubeConfig, images };
}

/** Of two that run at once neither is left running when the other fails. */
async function together<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([first, second]);
  return Promise.all([first, second]);
}

async function lastLine(output: Promise<string>): Promise<string> {
  return (await output).trim().split('\n').at(-1) ?? '';
}

async function buildImages(signal: AbortSignal | undefined): Promise<Images> {
  const lines = (await run('bash', ['hack/build-images'], { signal, isTalkative: true })).trim().split('\n');
  const [agent, operator] = lines.slice(-2);
  if (agent === undefined || operator === undefined)
    throw new Error(`hack/build-images printed no two names: ${lines}`);
  return { agent, operator };
}

/** Six pods that one more forms into a cluster, and keeps one. */
export async function ensureRedis(kubeConfig: string, image: string, signal?: AbortSignal): Promise<void> {
  const keeper = readFileSync(join(KIND, 'redis-keeper.sh'), 'utf8').trimEnd();
  const manifest = readFileSync(join(KIND, 'redis-cluster.yaml'), 'utf8')
    .replaceAll('@REDIS_IMAGE@', image)
    .replace('@KEEPER_HASH@', createHash('sha256').update(keeper).digest('hex').slice(0, 10))
    .replace('@KEEPER@', () => keeper.replace(/^(?=.)/gm, '    '));
  const kubectl = (args: readonly string[], input?: string) =>
    run('kubectl', ['-n', EXAMPLE_NAMESPACE, ...args], {
      kubeConfig,
      signal,
      ...(input === undefined ? {} : { input }),
    });
  await kubectl(['apply', '-f', '-'], manifest);
  await kubectl(['rollout', 'status', `statefulset/${REDIS_SERVICE}`, '--timeout', ROLLOUT_TIMEOUT]);
}

export interface InstallOptions {
  /** Folder of another chart than that of these sources. */
  readonly chart?: string;
  readonly signal?: AbortSignal;
}

/** Installs the chart, or upgrades it, and waits for the operator. */
export async function installOperator(
  { kubeConfig, images }: PreparedCluster,
  helmArguments: readonly string[] = [],
  { chart = CHART, signal }: InstallOptions = {},
): Promise<void> {
  const namespace = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: OPERATOR_NAMESPACE, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
  };
  await run('kubectl', ['apply', '-f', '-'], { kubeConfig, signal, input: JSON.stringify(namespace) });
  const common = ['--namespace', OPERATOR_NAMESPACE, '--wait', '--timeout', ROLLOUT_TIMEOUT];
  await run(
    'helm',
    ['upgrade', '--install', RELEASE, chart, ...common, ...imageValues(images), ...helmArguments],
    {
      kubeConfig,
      signal,
    },
  );
}

function imageValues(images: Images): string[] {
  return (['agent', 'operator'] as const).flatMap((part) => {
    const colon = images[part].lastIndexOf(':');
    const repository = images[part].slice(0, colon);
    const tag = images[part].slice(colon + 1);
    return ['--set', `${part}.image.repository=${repository},${part}.image.tag=${tag}`];
  });
}
