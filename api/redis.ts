import { z } from 'zod';

const port = z.coerce.number().int().min(1).max(65_535);

/** `host:port`, with IPv6 hosts in brackets. */
export const hostPort = z
  .string()
  .max(260)
  .regex(/^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$/, 'must be host:port, such as redis-0.redis:6379')
  .refine(
    (text) => port.safeParse(text.slice(text.lastIndexOf(':') + 1)).success,
    'must have a port from 1 to 65535',
  );

export const REDIS_MODES = ['standalone', 'sentinel', 'cluster'] as const;

/** How to reach Redis, save the secrets, which never stand in a manifest or file of configuration. */
export const redisSchema = z.strictObject({
  mode: z
    .enum(REDIS_MODES, 'must be standalone, sentinel or cluster')
    .default('standalone')
    .describe('How Redis is run.'),
  nodes: z
    .array(hostPort)
    .min(1, 'must name at least one host:port')
    .max(64)
    .describe('Addresses: the server, the sentinels, or some nodes of the cluster.'),
  sentinelMaster: z
    .string()
    .min(1)
    .max(128)
    .default('mymaster')
    .describe('Name of the master that the sentinels watch.'),
  db: z.number().int().min(0).max(15).default(0).describe('Database number; must be 0 in cluster mode.'),
  tls: z
    .boolean()
    .default(false)
    .describe('Whether to speak TLS to Redis, and in sentinel mode to the sentinels too.'),
  maxConnections: z
    .number()
    .int()
    .min(2, 'must be at least 2: one for events and one for commands')
    .max(64)
    .default(2)
    .describe('Most connections that one agent opens to one Redis master; one of them carries events.'),
  commandTimeoutMs: z
    .number()
    .int()
    .min(50)
    .max(60_000)
    .default(1_000)
    .describe('Deadline of one Redis command in milliseconds.'),
});

export type RedisSpec = z.infer<typeof redisSchema>;

const pemFile = z.string().min(1).max(4096);

/** What only an agent's own file has: in a tier Secrets are named instead. */
export const redisFileFields = {
  caFile: pemFile
    .optional()
    .describe(
      'PEM file of the authorities that the certificate of Redis may be of; read for each new connection. Default: the public ones. Environment: REDIS_CA_FILE.',
    ),
  certFile: pemFile
    .optional()
    .describe('PEM file of the certificate shown to Redis, with keyFile. Environment: REDIS_CERT_FILE.'),
  keyFile: pemFile
    .optional()
    .describe('PEM file of the private key of certFile. Environment: REDIS_KEY_FILE.'),
  username: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe('User of Redis (ACL). Left out: the default user. Environment: REDIS_USERNAME.'),
};

type RedisFiles = { readonly [Field in 'caFile' | 'certFile' | 'keyFile']?: string | undefined };

/** Rules across fields. */
export function checkRedis(
  redis: RedisSpec & RedisFiles,
  fail: (path: string[], remedy: string) => void,
): void {
  if (redis.mode === 'cluster' && redis.db !== 0)
    fail(['db'], 'must be 0 in cluster mode; Redis Cluster has no other');
  for (const field of ['caFile', 'certFile', 'keyFile'] as const)
    if (redis[field] !== undefined && !redis.tls)
      fail([field], 'has no effect without TLS; set redis.tls (REDIS_SSL) to true, or leave it out');
  if ((redis.certFile === undefined) !== (redis.keyFile === undefined))
    fail(
      [redis.certFile === undefined ? 'certFile' : 'keyFile'],
      'must be set too: redis.certFile and redis.keyFile are given together or not at all',
    );
}

export function splitHostPort(text: string): { host: string; port: number } {
  const colon = text.lastIndexOf(':');
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) };
}
