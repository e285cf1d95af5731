import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { GRPC_PORT } from '../api/well-known.ts';
import { ACCESS_OPTIONS, accessOf } from './access.ts';
import { type AgentAddress, Agents } from './agents.ts';
import { CliError, type Given, type Options, usageError } from './command.ts';
import { Cluster, type Scope } from './kube/cluster.ts';
import { type AgentPod, Forwards } from './kube/forwards.ts';
import { parseDuration } from './screen.ts';

/** What every command that asks agents takes. */
export const AGENT_OPTIONS: Options = {
  address: {
    type: 'string',
    short: 'a',
    value: 'HOST:PORT[,...]',
    help: 'agents to ask, also unix:/path (default: EDGECACHE_ADDRESS, else the cluster of the kubeconfig, else 127.0.0.1:7480)',
  },
  tier: { type: 'string', short: 't', value: 'NAME', help: 'only agents of this EdgeCacheTier' },
  namespace: {
    type: 'string',
    short: 'n',
    value: 'NAME',
    help: 'Kubernetes namespace (default: the context’s)',
  },
  'all-namespaces': { type: 'boolean', short: 'A', help: 'agents of all Kubernetes namespaces' },
  context: { type: 'string', value: 'NAME', help: 'context of the kubeconfig' },
  ...ACCESS_OPTIONS,
  timeout: { type: 'string', value: 'DURATION', help: 'longest that a call may take (default 5s)' },
};

const DEFAULT_TIMEOUT_MS = 5_000;
type Env = Readonly<Record<string, string | undefined>>;

export function scopeOf(given: Given): Scope {
  return {
    context: given.text('context'),
    namespace: given.text('namespace'),
    allNamespaces: given.flag('all-namespaces'),
    tier: given.text('tier'),
  };
}

/** The agents that the options mean. @throws CliError where there are none, with what to do. */
export async function findAgents(given: Given, env: Env, note: (line: string) => void): Promise<Agents> {
  const timeoutMs = durationOf(given, 'timeout') ?? DEFAULT_TIMEOUT_MS;
  const access = accessOf(given, env);
  const direct = given.text('address') ?? env['EDGECACHE_ADDRESS'];
  if (direct !== undefined)
    return new Agents({ addresses: direct.split(',').map(toAddress), timeoutMs, access });
  if (!isClusterMeant(given, env))
    return new Agents({ addresses: [toAddress(`127.0.0.1:${GRPC_PORT}`)], timeoutMs, access });
  const scope = scopeOf(given);
  const cluster = new Cluster(scope);
  const pods = await cluster.agentPods();
  if (pods.length === 0) throw new CliError(noAgents(scope, cluster.namespace));
  const forwards = new Forwards(cluster.config, (error) => note(`port-forward: ${error.message}`));
  const addresses = await Promise.all(pods.map((pod) => forwards.open(pod, nameOf(pod, pods))));
  return new Agents({ addresses, timeoutMs, access, forwards });
}

/** @throws CliError */
export function durationOf(given: Given, name: string): number | undefined {
  const text = given.text(name);
  if (text === undefined) return undefined;
  const ms = parseDuration(text);
  if (ms === undefined || ms === 0)
    throw usageError(
      `--${name}: ${JSON.stringify(text)} is no duration; write it as 500ms, 30s, 5m, 2h or 1d`,
    );
  return ms;
}

/** Its node; with its tier where several tiers have an agent there. */
function nameOf({ node, tier }: AgentPod, pods: readonly AgentPod[]): string {
  return pods.filter((pod) => pod.node === node).length === 1 ? node : `${node}/${tier}`;
}

function isClusterMeant(given: Given, env: Env): boolean {
  const { context, namespace, allNamespaces, tier } = scopeOf(given);
  if (context !== undefined || namespace !== undefined || allNamespaces || tier !== undefined) return true;
  return env['KUBECONFIG'] !== undefined || existsSync(join(env['HOME'] ?? homedir(), '.kube', 'config'));
}

function noAgents({ tier }: Scope, namespace: string | undefined): string {
  const where = namespace === undefined ? 'in the cluster' : `in namespace ${namespace}`;
  const what = tier === undefined ? 'no agent' : `no agent of tier ${tier}`;
  return `${what} runs ${where}; look elsewhere with -n or -A, see "kubectl get ect -A", or name agents with --address`;
}

function toAddress(text: string): AgentAddress {
  const address = text.trim();
  if (/^(unix:.+|.+:\d{1,5})$/.test(address)) return { name: address, address };
  throw usageError(`--address: ${JSON.stringify(address)} must be HOST:PORT or unix:/path`);
}
