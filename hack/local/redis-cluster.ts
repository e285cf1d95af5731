import type { Certificates } from './certificates.ts';
import { freePort, until, within } from './children.ts';
import { countSlots, hasSlot, type NodeLine, parseNodes, SLOTS, servesSlots } from './cluster-nodes.ts';
import { onFreePorts } from './free-ports.ts';
import { ADMIN, RedisServer } from './redis-server.ts';

export interface RedisClusterOptions {
  readonly masters?: number;
  readonly replicasPerMaster?: number;
  /** How long a node may be silent before it is taken for dead. Default 1000. */
  readonly nodeTimeoutMs?: number;
  /** Of every node, for clients and among themselves. */
  readonly password?: string;
  readonly tls?: Certificates;
  readonly args?: readonly string[];
  /** Puts something before a node, given its port, and answers the port that the node tells others to use. */
  readonly announce?: (port: number) => Promise<number>;
}

/** A real Redis Cluster of local processes. */
export class RedisCluster {
  readonly servers: readonly RedisServer[];
  readonly #masters: number;

  readonly #password: string | undefined;

  private constructor(servers: readonly RedisServer[], masters: number, password: string | undefined) {
    this.servers = servers;
    this.#masters = masters;
    this.#password = password;
  }

  static async start(options: RedisClusterOptions = {}): Promise<RedisCluster> {
    const { masters = 3, replicasPerMaster = 1, password } = options;
    const count = masters * (1 + replicasPerMaster);
    const servers = await Promise.all(Array.from({ length: count }, () => startNode(options)));
    const cluster = new RedisCluster(servers, masters, password);
    await cluster.#form();
    return cluster;
  }

  /** Addresses to begin with. */
  get nodes(): string[] {
    return this.servers.map(({ announced }) => `127.0.0.1:${announced}`);
  }

  /** Servers that serve slots now, as one that runs says. */
  async masters(): Promise<RedisServer[]> {
    const lines = await this.#view();
    return lines
      .filter(servesSlots)
      .flatMap(({ port }) => this.servers.find((server) => server.announced === port) ?? []);
  }

  /** Waits until every slot is served and every running node knows it. */
  async healthy(timeoutMs = 30_000): Promise<void> {
    await until(
      'the cluster serves all slots',
      async () => {
        const running = this.servers.filter((server) => server.running);
        const infos = await Promise.all(
          running.map((server) => ask(server, 'its state', server.admin.cluster('INFO'))),
        );
        return infos.every((info) => info.includes('cluster_state:ok'));
      },
      { timeoutMs },
    );
  }

  /** Kills a master and waits until a replica has taken over its slots. */
  async failover(master: RedisServer): Promise<void> {
    await master.stop('SIGKILL');
    await this.waitForFailover(master);
  }

  /** Waits until others serve what a master served that has gone. */
  async waitForFailover(gone: RedisServer): Promise<void> {
    await until('a replica takes over', async () => {
      const now = await this.masters();
      return now.length === this.#masters && !now.includes(gone) && (await this.#served());
    });
    await this.healthy();
  }

  /** Starts a node that has ended, and waits until it has its place again: as a replica, if another took over. */
  async restartNode(server: RedisServer): Promise<void> {
    await server.start();
    await this.healthy();
    await until('the node is back in its place', async () => {
      const info = await server.admin.info('replication');
      return /role:master|master_link_status:up/.test(info);
    });
  }

  /** Every key gone, as after FLUSHALL by hand; nothing is told to anyone. */
  async flush(): Promise<void> {
    await Promise.all((await this.masters()).map(({ admin }) => admin.flushall()));
  }

  /** All nodes end at once and come back with nothing, in their old places. */
  async restartEmpty(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop('SIGKILL')));
    await Promise.all(this.servers.map((server) => server.start()));
    await this.healthy();
    await until(
      'all replicas are online',
      async () => (await this.#online()) === this.servers.length - this.#masters,
    );
  }

  /** Moves one slot with its keys to another master, as `redis-cli --cluster reshard` does. */
  async migrateSlot(slot: number, to: RedisServer): Promise<void> {
    const view = await this.#view();
    const owner = view.find(({ slots }) => hasSlot(slots, slot));
    const target = view.find(({ port }) => port === to.announced);
    const from = this.servers.find(({ announced }) => announced === owner?.port);
    if (owner === undefined || target === undefined || from === undefined)
      throw new Error(`slot ${slot} has no owner`);
    if (from === to) return;
    await to.admin.cluster('SETSLOT', slot, 'IMPORTING', owner.id);
    await from.admin.cluster('SETSLOT', slot, 'MIGRATING', target.id);
    for (;;) {
      const keys = await from.admin.cluster('GETKEYSINSLOT', slot, 100);
      if (keys.length === 0) break;
      const auth =
        process.env.TEST_REDIS_RIGHTS === 'agent'
          ? ['AUTH2', ADMIN.username, ADMIN.password]
          : this.#password === undefined
            ? []
            : ['AUTH', this.#password];
      await from.admin.call('MIGRATE', '127.0.0.1', to.port, '', 0, 5_000, ...auth, 'KEYS', ...keys);
    }
    for (const server of [to, from]) await server.admin.cluster('SETSLOT', slot, 'NODE', target.id);
    for (const server of await this.masters()) await server.admin.cluster('SETSLOT', slot, 'NODE', target.id);
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop('SIGKILL')));
  }

  async #form(): Promise<void> {
    const masters = this.servers.slice(0, this.#masters);
    const replicas = this.servers.slice(this.#masters);
    const [first] = masters;
    if (first === undefined) throw new RangeError('a cluster has at least one master');
    await Promise.all(
      masters.map((server, i) => {
        const from = Math.floor((SLOTS * i) / masters.length);
        const to = Math.floor((SLOTS * (i + 1)) / masters.length) - 1;
        return server.admin.call('CLUSTER', 'ADDSLOTSRANGE', from, to);
      }),
    );
    await Promise.all(
      this.servers.map((server, i) => server.admin.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)),
    );
    await Promise.all(this.servers.slice(1).map((server) => this.#meet(server, first)));
    await this.healthy();
    await until('all nodes know one another', async () => (await this.#known()) === this.servers.length);
    await Promise.all(replicas.map((server, i) => this.#replicate(server, masters[i % masters.length])));
    await until('all replicas are online', async () => (await this.#online()) === replicas.length);
  }

  async #meet(server: RedisServer, first: RedisServer): Promise<void> {
    const busPort = await first.admin.config('GET', 'cluster-port');
    await server.admin.call('CLUSTER', 'MEET', '127.0.0.1', first.port, configValue(busPort));
  }

  async #replicate(server: RedisServer, master: RedisServer | undefined): Promise<void> {
    if (master === undefined) return;
    const id = await master.admin.cluster('MYID');
    await until(
      'a replica follows',
      async () => (await server.admin.cluster('REPLICATE', String(id))) === 'OK',
    );
  }

  async #known(): Promise<number> {
    const counts = await Promise.all(
      this.servers.map(
        async ({ admin }) =>
          parseNodes(String(await admin.cluster('NODES'))).filter(({ flags }) => !flags.includes('handshake'))
            .length,
      ),
    );
    return Math.min(...counts);
  }

  async #online(): Promise<number> {
    const infos = await Promise.all(
      this.servers.map((server) => ask(server, 'its replicas', server.admin.info('replication'))),
    );
    return infos.reduce((sum, info) => sum + (info.match(/state=online/g)?.length ?? 0), 0);
  }

  async #served(): Promise<boolean> {
    const served = (await this.#view())
      .filter(servesSlots)
      .reduce((sum, { slots }) => sum + countSlots(slots), 0);
    return served === SLOTS;
  }

  /** The cluster as the first node sees it that answers: one may just have been killed, or be stopped. */
  async #view(): Promise<NodeLine[]> {
    let failure: unknown;
    for (const server of this.servers.filter(({ running }) => running)) {
      try {
        return parseNodes(await ask(server, 'its view', server.admin.cluster('NODES')));
      } catch (error) {
        failure = error;
      }
    }
    throw new Error('no node of the cluster answers', { cause: failure });
  }
}

/** A node of a machine that is busy answers well within this; one that was killed never does. */
const ANSWER_MS = 1_000;

async function ask(server: RedisServer, what: string, answer: Promise<unknown>): Promise<string> {
  return String(await within(ANSWER_MS, `${what}, of ${server.address}`, answer));
}

function startNode(options: RedisClusterOptions): Promise<RedisServer> {
  const { nodeTimeoutMs = 1_000, args = [], announce, password, tls } = options;
  return onFreePorts(async () => {
    const port = await freePort();
    const announced = announce === undefined ? port : await announce(port);
    const bus = ['--cluster-port', String(await freePort())];
    const cluster = ['--cluster-enabled', 'yes', '--cluster-node-timeout', String(nodeTimeoutMs)];
    const failover = ['--cluster-replica-validity-factor', '0', '--repl-diskless-sync-delay', '0'];
    const told = announced === port ? [] : ['--cluster-announce-port', String(announced)];
    return RedisServer.start({
      port,
      announced,
      ...(password === undefined ? {} : { password }),
      ...(tls === undefined ? {} : { tls }),
      args: [
        ...(tls === undefined ? [] : ['--tls-cluster', 'yes']),
        ...cluster,
        ...bus,
        ...told,
        ...failover,
        ...args,
      ],
    });
    // What was put before a node knows that node's port alone.
  }, announce === undefined);
}

function configValue(reply: unknown): string {
  if (Array.isArray(reply)) return String(reply[1]);
  return String(Object.values(Object(reply))[0]);
}
