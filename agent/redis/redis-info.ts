import { Cluster, type Redis } from 'ioredis';

/** Memory of one master. */
export interface RedisMemory {
  /** host:port, or the path of a socket. */
  readonly server: string;
  readonly usedBytes: number;
  /** 0 where Redis has no limit. */
  readonly maxBytes: number;
  readonly policy: string;
}

/** Of every master. @throws on any failure to ask. */
export async function readMemory(client: Redis | Cluster): Promise<RedisMemory[]> {
  const servers = client instanceof Cluster ? client.nodes('master') : [client];
  const memory = await Promise.all(
    servers.map(async (server) => parseMemory(await server.info('memory'), addressOf(server))),
  );
  if (memory.length === 0) throw new Error('no master answers');
  return memory;
}

/** Where a connection leads, which a sentinel or a socket's path decide as well. */
export function addressOf({ options, stream }: Redis): string {
  return options.path ?? `${stream?.remoteAddress ?? options.host}:${stream?.remotePort ?? options.port}`;
}

/** The fullest master: it is the one that fails first. */
export function fullest(masters: readonly RedisMemory[]): RedisMemory | undefined {
  const [first, ...rest] = masters;
  return rest.reduce((most, info) => (most !== undefined && share(info) > share(most) ? info : most), first);
}

function share({ usedBytes, maxBytes }: RedisMemory): number {
  return maxBytes === 0 ? usedBytes / Number.MAX_SAFE_INTEGER : usedBytes / maxBytes;
}

function parseMemory(info: string, server: string): RedisMemory {
  const field = (name: string) => new RegExp(`^${name}:(.*)$`, 'm').exec(info)?.[1]?.trim() ?? '';
  return {
    server,
    usedBytes: Number(field('used_memory')) || 0,
    maxBytes: Number(field('maxmemory')) || 0,
    policy: field('maxmemory_policy'),
  };
}
