import type { ChildProcess } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { redisRights } from '../../api/redis-acl.ts';
import type { Certificates } from './certificates.ts';
import { endChild, freePort, isRunning, startChild, temporaryFolder, until, within } from './children.ts';
import { onFreePorts, PortTakenError } from './free-ports.ts';
import { ensureRedisServer } from './redis-install.ts';

export interface RedisServerOptions {
  readonly password?: string;
  readonly port?: number;
  /** The port that others use, where something stands before the server. */
  readonly announced?: number;
  /**
   * What a client may do that shows no user: what an agent needs and no more, or everything. Default: TEST_REDIS_RIGHTS, or `all`.
   * With `agent`, what was refused meanwhile is an error when the server is stopped.
   */
  readonly rights?: 'agent' | 'all';
  /** TLS alone, both ways: with clients, replicas and other nodes. */
  readonly tls?: Certificates;
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
    return onFreePorts(async () => {
      const server = new RedisServer(options.port ?? (await freePort()), options);
      try {
        await server.start();
      } catch (error) {
        await server.stop();
        throw error;
      }
      return server;
    }, options.port === undefined);
  }

  get announced(): number {
    return this.#options.announced ?? this.port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  get url(): string {
    const { password } = this.#options;
    return `redis://${password === undefined ? '' : `:${encodeURIComponent(password)}@`}${this.address}`;
  }

  /** A connection for looking in and for giving orders; made anew after each start. */
  get admin(): Redis {
    if (this.#admin === undefined) throw new Error('redis-server is not running');
    return this.#admin;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Whether it runs, also where somebody else has ended it. */
  get running(): boolean {
    return this.#child !== undefined && isRunning(this.#child);
  }

  /** Starts it with nothing in it. */
  async start(): Promise<void> {
    // A replica leaves what it was sent at first; after a crash that would come back as if it were true.
    rmSync(join(this.#folder, 'dump.rdb'), { force: true });
    await this.#launch();
  }

  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.#noteRefusals();
    this.#admin?.disconnect();
    this.#admin = undefined;
    const child = this.#child;
    this.#child = undefined;
    if (child !== undefined) await endChild(child, signal);
  }

  get #restricted(): boolean {
    return (this.#options.rights ?? process.env.TEST_REDIS_RIGHTS) === 'agent';
  }

  /** A server that hangs or has gone has nothing to say. */
  async #noteRefusals(): Promise<void> {
    if (!this.#restricted || !this.running || this.#admin?.status !== 'ready') return;
    const log = await within(REFUSALS_MS, 'its refusals', this.admin.call('ACL', 'LOG')).catch(() => []);
    const refused = refusalsOf(log);
    if (refused.length > 0)
      throw new Error(`redis-server refused ${refused.join(', ')}: see api/redis-acl.ts`);
  }

  /** Stops it for a while (SIGSTOP, SIGCONT), or ends it without telling anyone here. */
  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Comes back on the same port with what it held, after something has been done without it. */
  async restart(whileAway: () => Promise<void> = async () => undefined): Promise<void> {
    if (this.running) await this.admin.save();
    await this.stop();
    await whileAway();
    await this.#launch();
  }

  /** Comes back on the same port with nothing of what it held; a cluster node keeps its place in the cluster. */
  async restartEmpty(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async #launch(): Promise<void> {
    const { password, tls, args = [] } = this.#options;
    const own = [
      ...listenArguments(this.port, tls),
      '--bind',
      '127.0.0.1',
      '--dir',
      this.#folder,
      '--save',
      '',
    ];
    const secret = this.#restricted ? restrictedUsers(password) : openUsers(password);
    const child = startChild('redis-server', [...own, '--daemonize', 'no', ...secret, ...args]);
    this.#child = child;
    this.#output = '';
    // Wrong arguments are complained about on stderr, everything else on stdout.
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (data: Buffer) => {
        this.#output = (this.#output + data.toString()).slice(-4_000);
      });
    }
    this.#admin?.disconnect();
    this.#admin = new Redis(this.port, '127.0.0.1', {
      ...(this.#restricted ? ADMIN : {}),
      ...(password === undefined || this.#restricted ? {} : { password }),
      ...(tls === undefined ? {} : { tls: clientTls(tls) }),
      enableReadyCheck: false,
      maxRetriesPerRequest: null,
      retryStrategy: () => 50,
    });
    this.#admin.on('error', () => undefined);
    await this.#answers(child);
  }

  async #answers(child: ChildProcess): Promise<void> {
    const ended = new Promise<never>((_, reject) => {
      child.once('close', () => reject(startFailure(this.port, this.#output)));
    });
    ended.catch(() => undefined);
    const answers = until(`redis-server on port ${this.port} answers`, async () => {
      // Another server may have got the port first, and would answer as well.
      const itself = new RegExp(`process_id:${child.pid}\\b`).test(await this.admin.info('server'));
      // What INFO answers at once, PING refuses until the data is loaded.
      return itself && (await this.admin.ping()) === 'PONG';
    });
    answers.catch(() => undefined);
    await Promise.race([answers, ended]);
  }
}

export const ADMIN = { username: 'admin', password: 'admin' } as const;
const REFUSALS_MS = 500;

function openUsers(password: string | undefined): string[] {
  return password === undefined ? [] : ['--requirepass', password, '--masterauth', password];
}

/** The user of whoever names none has an agent's rights; another one is for replicas and for looking in. */
function restrictedUsers(password: string | undefined): string[] {
  const secret = password === undefined ? 'nopass' : `>${password}`;
  const agent = ['default', 'on', secret, 'resetkeys', 'resetchannels', ...redisRights()];
  const admin = [ADMIN.username, 'on', `>${ADMIN.password}`, '~*', '&*', '+@all'];
  return [
    '--user',
    ...agent,
    '--user',
    ...admin,
    '--masteruser',
    ADMIN.username,
    '--masterauth',
    ADMIN.password,
  ];
}

/** Of the reply to ACL LOG: what was refused for want of a right. */
function refusalsOf(log: unknown): string[] {
  if (!Array.isArray(log)) return [];
  return log.flatMap((entry: unknown) => {
    if (!Array.isArray(entry)) return [];
    const field = (name: string) => String(entry[entry.indexOf(name) + 1]);
    return field('reason') === 'auth' ? [] : [`${field('object')} (${field('reason')})`];
  });
}

/** Of redis-server, and of a sentinel as lines of its file. */
export function tlsArguments({ ca, server }: Certificates): [string, string][] {
  return [
    ['tls-cert-file', server.cert],
    ['tls-key-file', server.key],
    ['tls-ca-cert-file', ca],
    ['tls-replication', 'yes'],
  ];
}

/** For orders to a server that stands here, whatever its certificate calls it. */
export function clientTls({ ca, client }: Certificates) {
  return {
    ca: readFileSync(ca),
    cert: readFileSync(client.cert),
    key: readFileSync(client.key),
    checkServerIdentity: () => undefined,
  };
}

function listenArguments(port: number, tls: Certificates | undefined): string[] {
  if (tls === undefined) return ['--port', String(port)];
  const files = tlsArguments(tls).flatMap(([name, value]) => [`--${name}`, value]);
  return ['--port', '0', '--tls-port', String(port), ...files];
}

function startFailure(port: number, output: string): Error {
  const text = `redis-server on port ${port} ended: ${output.trim()}`;
  return /Address already in use/.test(output) ? new PortTakenError(text) : new Error(text);
}
