import { pino } from 'pino';
import { readOperatorConfig } from '../../operator/config/operator-config.ts';
import { LEASE_TIMING, type LeaseTiming } from '../../operator/kube/lease.ts';
import { runOperator } from '../../operator/operator.ts';
import type { FakeAgent } from '../../operator/testing/fake-agent.ts';
import type { TestApiServer } from './api-server.ts';

export const OPERATOR_NAMESPACE = 'edgecache-system';
export const OPERATOR = `system:serviceaccount:${OPERATOR_NAMESPACE}:edgecache-operator`;
export const OPERATOR_USER = { name: OPERATOR, groups: ['system:serviceaccounts', 'system:authenticated'] };
/** The real times, so that a busy machine loses no lease; only looking for a free one is quicker. */
const LEASE: LeaseTiming = { ...LEASE_TIMING, retryMs: 200 };

/** An operator in this process, with the rights that the chart gives it. */
export class RunningOperator {
  readonly #stop = new AbortController();
  readonly ended: Promise<unknown>;
  port = 0;

  constructor(
    server: TestApiServer,
    agent: FakeAgent,
    podName: string,
    settings: Readonly<Record<string, string>> = {},
  ) {
    const level = process.env['TEST_LOG_LEVEL'] ?? 'silent';
    const config = readOperatorConfig({
      AGENT_IMAGE: 'edgecache/agent:test',
      POD_NAMESPACE: OPERATOR_NAMESPACE,
      POD_NAME: podName,
      HTTP_PORT: '0',
      AGENT_HTTP_PORT: String(agent.httpPort),
      AGENT_GRPC_PORT: String(agent.grpcPort),
      STATS_INTERVAL_SECONDS: '1',
      LEASE_NAME: 'edgecache-operator',
      ...settings,
    });
    const parts = {
      config,
      credentials: server.credentials(OPERATOR),
      logger: pino({ level }).child({ podName }),
      leaseTiming: LEASE,
      discoveryMs: 500,
      onListening: (port: number) => {
        this.port = port;
      },
    };
    this.ended = runOperator(parts, this.#stop.signal).catch((error: unknown) => error);
  }

  async metric(name: string): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.port}/metrics`)).text();
    return text
      .split('\n')
      .filter((line) => line.startsWith(name))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  async status(path: string): Promise<number> {
    return (await fetch(`http://127.0.0.1:${this.port}${path}`)).status;
  }

  async stop(): Promise<unknown> {
    this.#stop.abort();
    return await this.ended;
  }
}
