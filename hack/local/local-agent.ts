import type { ChildProcess } from 'node:child_process';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { AgentFile } from '../../api/agent-config.ts';
import { endChild, freePort, startChild, temporaryFolder, until } from './children.ts';
import { onFreePorts, PortTakenError } from './free-ports.ts';

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
/** Like a kubelet, in small: later and later, until it has run for a while. */
const RESTART_MIN_MS = 300;
const RESTART_MAX_MS = 5_000;
const SETTLED_MS = 10_000;
/** V8's, as every process of the product has them. */
export const NODE_FLAGS = readFileSync(new URL('../node-flags', import.meta.url), 'utf8')
  .trim()
  .split(' ');

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
  #restartMs = RESTART_MIN_MS;
  #restartTimer: NodeJS.Timeout | undefined;

  private constructor(options: LocalAgentOptions, grpcPort: number, httpPort: number) {
    this.#options = options;
    this.nodeId = options.nodeId;
    this.grpcPort = grpcPort;
    this.httpPort = httpPort;
    this.#folder = temporaryFolder('agent');
  }

  /** @throws Error with the end of its log, where it does not become ready. */
  static start(options: LocalAgentOptions): Promise<LocalAgent> {
    return onFreePorts(async () => {
      const agent = new LocalAgent(options, await freePort(), await freePort());
      writeFileSync(join(agent.#folder, 'agent.json'), JSON.stringify(options.file, null, 2));
      try {
        await agent.start();
      } catch (error) {
        await agent.stop('SIGKILL');
        throw agent.logTail().includes('EC_LISTEN_FAILED') ? new PortTakenError(String(error)) : error;
      }
      return agent;
    });
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
    clearTimeout(this.#restartTimer);
    this.#stopping = false;
    this.#spawn();
    if (this.#options.waitReady ?? true) await this.#firstReady();
  }

  /** Waits until it answers whole. @throws Error with the end of its log. */
  async ready(timeoutMs = 20_000): Promise<void> {
    try {
      await until(`agent ${this.nodeId} is ready`, async () => (await this.fetch('/readyz')).ok, {
        timeoutMs,
      });
    } catch (error) {
      throw this.#notReady(error);
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

  /** Stops it where it stands, with its connections open, as a machine that hangs. */
  pause(): void {
    this.signal('SIGSTOP');
  }

  resume(): void {
    this.signal('SIGCONT');
  }

  /** Ends it for good: drained with SIGTERM, or at once with SIGKILL. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restartTimer);
    if (this.#child !== undefined) await endChild(this.#child, signal);
    this.#child = undefined;
  }

  /** One that ends instead of becoming ready need not be waited for: what it has to say is in its log. */
  async #firstReady(): Promise<void> {
    const child = this.#child;
    const ended = new Promise<never>((_, reject) => {
      child?.once('close', (code) => {
        if (!this.#stopping) reject(this.#notReady(new Error(`it ended with exit code ${code}`)));
      });
    });
    ended.catch(() => undefined);
    await Promise.race([this.ready(), ended]);
  }

  #notReady(cause: unknown): Error {
    return new Error(`agent ${this.nodeId} is not ready; the end of its log:\n${this.logTail()}`, { cause });
  }

  #spawn(): void {
    const child = startChild(
      process.execPath,
      [...NODE_FLAGS, this.#options.main ?? MAIN, '--config', join(this.#folder, 'agent.json')],
      {
        env: {
          ...inheritedEnvironment(),
          EDGE_NODE_ID: this.nodeId,
          CACHE_GRPC_ADDRESS: this.address,
          CACHE_HTTP_ADDRESS: `127.0.0.1:${this.httpPort}`,
          ...this.#options.env,
        },
      },
    );
    this.#child = child;
    const startedAt = performance.now();
    const write = (line: string) => appendFileSync(this.logFile, `${line}\n`);
    for (const stream of [child.stdout, child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on('line', write);
    }
    child.once('exit', () => {
      if (this.#stopping || !(this.#options.restart ?? false)) return;
      if (performance.now() - startedAt > SETTLED_MS) this.#restartMs = RESTART_MIN_MS;
      this.#restartTimer = setTimeout(() => this.#respawn(), this.#restartMs);
      this.#restartMs = Math.min(RESTART_MAX_MS, this.#restartMs * 2);
    });
  }

  #respawn(): void {
    this.#restarts += 1;
    this.#options.onRestart?.(this.nodeId);
    this.#spawn();
  }
}

/** This process's environment without what agents read: what they run by stands in their tier. */
function inheritedEnvironment(): NodeJS.ProcessEnv {
  const own = /^(REDIS|EDGE_NODE|CACHE)_/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.test(name)));
}
