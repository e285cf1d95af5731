import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { endChild, freePort, startChild, until } from '../local/children.ts';
import { NODE_FLAGS } from '../local/local-agent.ts';

const MAIN = fileURLToPath(new URL('../../operator/main.ts', import.meta.url));

/** The operator as it runs in its pod, and what it says of itself. */
export class OperatorProcess {
  readonly #child: ChildProcess;
  readonly #port: number;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.#port = port;
  }

  static async start(
    kubeconfig: string,
    agent: { readonly httpPort: number; readonly grpcPort: number },
  ): Promise<OperatorProcess> {
    const port = await freePort();
    const child = startChild(process.execPath, [...NODE_FLAGS, MAIN], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...process.env,
        KUBECONFIG: kubeconfig,
        AGENT_IMAGE: 'edgecache/agent:scale',
        POD_NAMESPACE: 'default',
        POD_NAME: `operator-${port}`,
        HTTP_PORT: String(port),
        AGENT_HTTP_PORT: String(agent.httpPort),
        AGENT_GRPC_PORT: String(agent.grpcPort),
        LOG_LEVEL: 'warn',
      },
    });
    const operator = new OperatorProcess(child, port);
    await until('the operator leads', async () => (await operator.metric('leader')) === 1, {
      timeoutMs: 60_000,
    });
    return operator;
  }

  /** Sum of a metric over its labels. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.#port}/metrics`)).text();
    const lines = text.matchAll(new RegExp(`^edgecache_operator_${name}(?:\\{[^}]*\\})? (.+)$`, 'gm'));
    return [...lines].reduce((sum, [, value]) => sum + Number(value), 0);
  }

  /** Most memory that it has had, in megabytes. */
  peakMemoryMb(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8');
    return Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1000);
  }

  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    return endChild(this.#child, signal);
  }
}
