import { pino } from 'pino';
import { Agent } from '../../agent/agent.ts';
import type { MemoryUse } from '../../agent/memory/memory-sources.ts';
import type { ConfigFile } from '../../agent/reload.ts';
import type { KubernetesApi } from '../../agent/security/kubernetes-review.ts';
import { startTracing } from '../../agent/tracing/start.ts';
import { type AgentFile, resolveAgentConfig } from '../../api/agent-config.ts';
import { EdgeCacheClient, type EdgeCacheClientOptions } from '../../client/edge-cache-client.ts';
import { until } from '../../hack/local/children.ts';

/** An agent in this process, with a client of its own. */
export interface TestAgent {
  readonly agent: Agent;
  readonly client: EdgeCacheClient;
  readonly address: string;
  /** host:port of its HTTP port. */
  readonly httpAddress: string;
  readonly http: (path: string, init?: RequestInit) => Promise<Response>;
  readonly stop: () => Promise<void>;
}

export interface TestAgentOptions {
  readonly file: AgentFile;
  readonly env?: Readonly<Record<string, string>>;
  readonly waitReady?: boolean;
  readonly client?: Partial<EdgeCacheClientOptions>;
  /** Milliseconds since 1970, as the agent sees them. */
  readonly wallClock?: () => number;
  /** What its memory looks like to the agent. */
  readonly memory?: () => readonly MemoryUse[];
  /** Where it has ServiceAccounts verified. */
  readonly kubernetes?: KubernetesApi;
  /** What the agent then watches. */
  readonly configFile?: ConfigFile;
}

/** Starts an agent on free ports. Its log is silent unless TEST_LOG_LEVEL says otherwise. */
export async function startAgent({
  file,
  env = {},
  waitReady = true,
  client = {},
  wallClock,
  configFile,
  memory,
  kubernetes,
}: TestAgentOptions): Promise<TestAgent> {
  const ports = { grpcAddress: '127.0.0.1:0', httpAddress: '127.0.0.1:0' };
  const config = resolveAgentConfig({ ...ports, ...file }, env);
  const log = pino({ level: process.env.TEST_LOG_LEVEL ?? 'silent' });
  const agent = new Agent(config, {
    log,
    tracing: await startTracing(config, log),
    now: () => performance.now(),
    wallClock: wallClock ?? (() => performance.timeOrigin + performance.now()),
    random: Math.random,
    file: configFile,
    variables: env,
    ...(kubernetes === undefined ? {} : { kubernetes }),
    ...(memory === undefined ? {} : { memory }),
  });
  const { grpcPort, httpPort } = await agent.start();
  if (waitReady) await until('the agent is ready', () => agent.ready);
  const address = `127.0.0.1:${grpcPort}`;
  // Two cores and a dozen processes: a test's calls may wait longer than an application's would.
  const edge = new EdgeCacheClient({
    addresses: [address],
    connectTimeoutMs: 2_000,
    deadlineMs: 5_000,
    ...client,
  });
  return {
    agent,
    client: edge,
    address,
    httpAddress: `127.0.0.1:${httpPort}`,
    http: (path, init) => fetch(`http://127.0.0.1:${httpPort}${path}`, init),
    stop: async () => {
      edge.close();
      await agent.stop();
    },
  };
}

export function standalone(port: number): NonNullable<AgentFile['redis']> {
  return { nodes: [`127.0.0.1:${port}`] };
}
