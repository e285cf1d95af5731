import type { ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { endChild, freePort, startChild, temporaryFolder, until } from './children.ts';
import { ensureRedisServer } from './redis-install.ts';

export interface RedisServerOptions {
  readonly password?: string;
  readonly port?: number;
  /** The port that others use, where something stands before the server. */
  readonly announced?: number;
  /** Further arguments of redis-server, such as `--maxmemory 10mb`. */
  readonly args?: readonly string[];
}

/** A real redis-server on a free port of the loopback address, with nothing kept on disk. */
export class RedisServer {
  readonly port: number;
  readonly #folder = temporaryFolder('redis');
  readonly #options: RedisServerOptions;
  #child: ChildProcess | undefined;
  #admin: Redis | undefined;
  #output = '';

  private constructor(port: number, options: RedisServerOptions) {
    this.port = port;
    this.#options = options;
  }

  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    ensureRedisServer();
    const server = new RedisServer(options.port ?? (await freePort()), options);
    await server.start();
    return server;
  }

  get announced(): number {
    return this.#options.announced ?? this.port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** A connection for looking in and for giving orders; made anew after each start. */
  get admin(): Redis {
    if (this.#admin === undefined) throw new Error('redis-server is not running');
    return this.#admin;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  async start(): Promise<void> {
    const { password, args = [] } = this.#options;
    const own = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#folder, '--save', ''];
    const secret = password === undefined ? [] : ['--requirepass', password, '--masterauth', password];
    const child = startChild('redis-server', [...own, '--daemonize', 'no', ...secret, ...args]);
    this.#child = child;
    child.stdout?.on('data', (data: Buffer) => {
      this.#output = (this.#output + data.toString()).slice(-4_000);
    });
    this.#admin = new Redis(this.port, '127.0.0.1', {
      ...(password === undefined ? {} : { password }),
      enableReadyCheck: false,
      maxRetriesPerRequest: null,
      retryStrategy: () => 50,
    });
    this.#admin.on('error', () => undefined);
    await until(`redis-server on port ${this.port}: ${this.#output}`, async () => {
      if (child.exitCode !== null) throw new Error(`redis-server ended: ${this.#output}`);
      return (await this.admin.ping()) === 'PONG';
    });
  }

  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.#admin?.disconnect();
    this.#admin = undefined;
    const child = this.#child;
    this.#child = undefined;
    if (child !== undefined) await endChild(child, signal);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Comes back on the same port with nothing of what it held; a cluster node keeps its place in the cluster. */
  async restartEmpty(): Promise<void> {
    await this.stop();
    rmSync(join(this.#folder, 'dump.rdb'), { force: true });
    await this.start();
  }
}
