import { Cluster, type Redis } from 'ioredis';

export interface RedisMemory {
  readonly usedBytes: number;
  /** 0 where Redis has no limit. */
  readonly maxBytes: number;
  readonly policy: string;
}

/** The fullest master's memory: it is the one that fails first. @throws on any failure to ask. */
export async function readMemory(client: Redis | Cluster): Promise<RedisMemory> {
  const servers = client instanceof Cluster ? client.nodes('master') : [client];
  const infos = await Promise.all(servers.map(async (server) => parseMemory(await server.info('memory'))));
  const [first, ...rest] = infos;
  if (first === undefined) throw new Error('no master answers');
  return rest.reduce((fullest, info) => (share(info) > share(fullest) ? info : fullest), first);
}

function share({ usedBytes, maxBytes }: RedisMemory): number {
  return maxBytes === 0 ? usedBytes / Number.MAX_SAFE_INTEGER : usedBytes / maxBytes;
}

function parseMemory(info: string): RedisMemory {
  const field = (name: string) => new RegExp(`^${name}:(.*)$`, 'm').exec(info)?.[1]?.trim() ?? '';
  return {
    usedBytes: Number(field('used_memory')) || 0,
    maxBytes: Number(field('maxmemory')) || 0,
    policy: field('maxmemory_policy'),
  };
}
