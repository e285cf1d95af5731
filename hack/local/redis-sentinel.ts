import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import type { Certificates } from './certificates.ts';
import { endChild, freePort, startChild, temporaryFolder, until } from './children.ts';
import { ADMIN, clientTls, RedisServer, tlsArguments } from './redis-server.ts';

export interface RedisSentinelOptions {
  readonly replicas?: number;
  readonly sentinels?: number;
  /** How long a master may be silent before it is taken for dead. Default 1000. */
  readonly downAfterMs?: number;
  /** Of the servers; the sentinels themselves are open, unless they have one too. */
  readonly password?: string;
  readonly sentinelPassword?: string;
  /** Of servers and sentinels. */
  readonly tls?: Certificates;
}

interface Sentinel {
  readonly port: number;
  readonly admin: Redis;
  /** Makes it hang: connections to it stand, and nothing is answered. */
  readonly freeze: () => void;
  readonly stop: () => Promise<void>;
}

/** A real master with replicas, and sentinels that watch it, as local processes. */
export class RedisSentinel {
  readonly servers: readonly RedisServer[];
  readonly name = 'mymaster';
  readonly #sentinels: readonly Sentinel[];

  private constructor(servers: readonly RedisServer[], sentinels: readonly Sentinel[]) {
    this.servers = servers;
    this.#sentinels = sentinels;
  }

  static async start(options: RedisSentinelOptions = {}): Promise<RedisSentinel> {
    const { replicas = 1, sentinels = 3, downAfterMs = 1_000, password, tls, sentinelPassword } = options;
    const secret = {
      ...(password === undefined ? {} : { password }),
      ...(tls === undefined ? {} : { tls }),
    };
    const quick = ['--repl-diskless-sync-delay', '0'];
    const master = await RedisServer.start({ ...secret, args: quick });
    const follow = ['--replicaof', '127.0.0.1', String(master.port), ...quick];
    const followers = await Promise.all(
      Array.from({ length: replicas }, () => RedisServer.start({ ...secret, args: follow })),
    );
    await until('all replicas are online', async () => (await online(master)) === replicas);
    const quorum = Math.floor(sentinels / 2) + 1;
    const watch = { master: master.port, quorum, downAfterMs, password, tls, sentinelPassword };
    const watchers = await Promise.all(Array.from({ length: sentinels }, () => startSentinel(watch)));
    const all = new RedisSentinel([master, ...followers], watchers);
    await until('the sentinels know the replicas and one another', () => all.#settled(replicas));
    return all;
  }

  /** Addresses of the sentinels. */
  get nodes(): string[] {
    return this.#sentinels.map(({ port }) => `127.0.0.1:${port}`);
  }

  /** Connections for giving orders to the sentinels. */
  get sentinelAdmins(): Redis[] {
    return this.#sentinels.map(({ admin }) => admin);
  }

  /** The master, as most sentinels say. */
  async master(): Promise<RedisServer> {
    const answers = await Promise.all(
      this.#sentinels.map(({ admin }) => admin.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.name)),
    );
    const ports = answers.map((answer) => (Array.isArray(answer) ? Number(answer[1]) : 0));
    const found = this.servers.find(
      ({ port }) => ports.filter((each) => each === port).length > ports.length / 2,
    );
    if (found === undefined) throw new Error('the sentinels do not agree on a master');
    return found;
  }

  /** Kills the master and waits until a replica has taken its place. */
  async failover(): Promise<RedisServer> {
    const before = await this.master();
    await before.stop('SIGKILL');
    return until(
      'a replica takes over',
      async () => {
        const now = await this.master();
        if (now === before) return undefined;
        return (await now.admin.info('replication')).includes('role:master') ? now : undefined;
      },
      { timeoutMs: 30_000 },
    );
  }

  /** Makes one of the sentinels hang. */
  freezeSentinel(index: number): void {
    this.#sentinels[index]?.freeze();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#sentinels, ...this.servers].map((each) => each.stop()));
  }

  async #settled(replicas: number): Promise<boolean> {
    const wanted = `slaves=${replicas},sentinels=${this.#sentinels.length}`;
    const infos = await Promise.all(this.#sentinels.map(({ admin }) => admin.info('sentinel')));
    return infos.every((info) => info.includes(wanted) && info.includes('status=ok'));
  }
}

interface Watch {
  readonly master: number;
  readonly quorum: number;
  readonly downAfterMs: number;
  readonly password: string | undefined;
  readonly sentinelPassword: string | undefined;
  readonly tls: Certificates | undefined;
}

async function startSentinel(watch: Watch): Promise<Sentinel> {
  const { tls, sentinelPassword } = watch;
  const port = await freePort();
  const folder = temporaryFolder('sentinel');
  // It writes what it learns into its own file.
  const file = join(folder, 'sentinel.conf');
  const lines = linesOf(watch, port, folder);
  writeFileSync(file, `${lines.join('\n')}\n`);
  const child = startChild('redis-server', [file, '--sentinel'], { stdio: 'ignore' });
  const admin = new Redis(port, '127.0.0.1', {
    ...(tls === undefined ? {} : { tls: clientTls(tls) }),
    ...(sentinelPassword === undefined ? {} : { password: sentinelPassword }),
    enableReadyCheck: false,
    maxRetriesPerRequest: null,
    retryStrategy: () => 50,
  });
  admin.on('error', () => undefined);
  await until(`the sentinel on port ${port} answers`, async () => (await admin.ping()) === 'PONG');
  const stop = async () => {
    admin.disconnect();
    await endChild(child, 'SIGKILL');
  };
  return { port, admin, freeze: () => void child.kill('SIGSTOP'), stop };
}

function linesOf(watch: Watch, port: number, folder: string): string[] {
  const { master, quorum, downAfterMs, password, sentinelPassword, tls } = watch;
  const secret = sentinelPassword === undefined ? [] : [`requirepass ${sentinelPassword}`];
  return [
    ...(tls === undefined
      ? [`port ${port}`]
      : ['port 0', `tls-port ${port}`, ...tlsArguments(tls).map((each) => each.join(' '))]),
    'bind 127.0.0.1',
    `dir ${folder}`,
    `sentinel monitor mymaster 127.0.0.1 ${master} ${quorum}`,
    `sentinel down-after-milliseconds mymaster ${downAfterMs}`,
    'sentinel failover-timeout mymaster 5000',
    ...(process.env.TEST_REDIS_RIGHTS === 'agent'
      ? [`sentinel auth-user mymaster ${ADMIN.username}`, `sentinel auth-pass mymaster ${ADMIN.password}`]
      : password === undefined
        ? []
        : [`sentinel auth-pass mymaster ${password}`]),
    ...secret,
  ];
}

async function online(master: RedisServer): Promise<number> {
  return (await master.admin.info('replication')).match(/state=online/g)?.length ?? 0;
}
