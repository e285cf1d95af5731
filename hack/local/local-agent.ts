import type { ChildProcess } from 'node:child_process';
import { createWriteStream, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { AgentFile } from '../../api/agent-config.ts';
import { endChild, freePort, startChild, temporaryFolder, until } from './children.ts';

export interface LocalAgentOptions {
  /** Name of the node that the agent pretends to be on. */
  readonly nodeId: string;
  readonly file: AgentFile;
  readonly env?: Readonly<Record<string, string>>;
  /** Whether an agent that dies is started again, as a DaemonSet does. */
  readonly restart?: boolean;
  /** Whether to wait until it is ready, not only listening. Default true. */
  readonly waitReady?: boolean;
  readonly onRestart?: (nodeId: string) => void;
  /** Another script than the agent's own. */
  readonly main?: string;
}

const MAIN = new URL('../../agent/main.ts', import.meta.url).pathname;
const RESTART_MS = 300;

/** A real agent process on free ports of the loopback address, run from a tier's configuration. */
export class LocalAgent {
  readonly nodeId: string;
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly #options: LocalAgentOptions;
  readonly #folder: string;
  #child: ChildProcess | undefined;
  #stopping = false;
  #restarts = 0;

  private constructor(options: LocalAgentOptions, grpcPort: number, httpPort: number) {
    this.#options = options;
    this.nodeId = options.nodeId;
    this.grpcPort = grpcPort;
    this.httpPort = httpPort;
    this.#folder = temporaryFolder('agent');
  }

  static async start(options: LocalAgentOptions): Promise<LocalAgent> {
    const agent = new LocalAgent(options, await freePort(), await freePort());
    writeFileSync(join(agent.#folder, 'agent.json'), JSON.stringify(options.file, null, 2));
    await agent.start();
    return agent;
  }

  get address(): string {
    return `127.0.0.1:${this.grpcPort}`;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get restarts(): number {
    return this.#restarts;
  }

  get logFile(): string {
    return join(this.#folder, 'agent.log');
  }

  async start(): Promise<void> {
    this.#stopping = false;
    this.#spawn();
    if (this.#options.waitReady ?? true) await this.ready();
  }

  /** Waits until it answers whole. @throws Error with the end of its log. */
  async ready(timeoutMs = 20_000): Promise<void> {
    try {
      await until(`agent ${this.nodeId} is ready`, async () => (await this.fetch('/readyz')).ok, {
        timeoutMs,
      });
    } catch (error) {
      throw new Error(`agent ${this.nodeId} is not ready; the end of its log:\n${this.logTail()}`, {
        cause: error,
      });
    }
  }

  /** Asks its HTTP port. */
  fetch(path: string): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.httpPort}${path}`, { signal: AbortSignal.timeout(2_000) });
  }

  logTail(lines = 30): string {
    try {
      return readFileSync(this.logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
    } catch {
      return '(no log)';
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Ends it for good: drained with SIGTERM, or at once with SIGKILL. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    this.#stopping = true;
    if (this.#child !== undefined) await endChild(this.#child, signal);
    this.#child = undefined;
  }

  #spawn(): void {
    const env = {
      ...process.env,
      EDGE_NODE_ID: this.nodeId,
      CACHE_GRPC_ADDRESS: this.address,
      CACHE_HTTP_ADDRESS: `127.0.0.1:${this.httpPort}`,
      ...this.#options.env,
    };
    const child = startChild(
      process.execPath,
      [this.#options.main ?? MAIN, '--config', join(this.#folder, 'agent.json')],
      { env },
    );
    this.#child = child;
    const log = createWriteStream(this.logFile, { flags: 'a' });
    for (const stream of [child.stdout, child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on('line', (line) => log.write(`${line}\n`));
    }
    child.once('exit', () => {
      if (this.#stopping || !(this.#options.restart ?? false)) return;
      setTimeout(() => {
        if (this.#stopping) return;
        this.#restarts += 1;
        this.#options.onRestart?.(this.nodeId);
        this.#spawn();
      }, RESTART_MS);
    });
  }
}
