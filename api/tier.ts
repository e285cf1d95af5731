import { z } from 'zod';
import { parseOrThrow } from './errors.ts';
import { checkNamespaces, DEFAULT_NAMESPACES, namespaceSchema } from './namespace.ts';
import { checkLimits } from './port-limits.ts';
import { byteQuantity } from './quantity.ts';
import { checkRedis, redisSchema } from './redis.ts';
import { checkDeployment, deploymentFields, dnsName, secretKeyRefSchema } from './tier-deployment.ts';
import { checkTierSecurity, tierSecuritySchema } from './tier-security.ts';
import { tracingSchema } from './tracing.ts';
import { uiSchema } from './ui.ts';

export const API_GROUP = 'edgecache.dev';
export const API_VERSION = 'edgecache.dev/v1alpha1';
export const TIER_KIND = 'EdgeCacheTier';

export const NODE_TIERS = ['edge', 'regional', 'global'] as const;
export type NodeTier = (typeof NODE_TIERS)[number];

/** Entries that an agent keeps in memory, by node tier, where the tier does not say. */
export const L1_ENTRIES_BY_TIER: Readonly<Record<NodeTier, number>> = {
  edge: 500,
  regional: 2000,
  global: 5000,
};

/** How an agent chooses what to keep in memory. */
export const L1_POLICIES = ['default', 'lru', 's3fifo', 'tinylfu'] as const;
export type L1Policy = (typeof L1_POLICIES)[number];

/** What an agent that starts, or has lost what it held, fills its memory with. */
export const PRELOADS = ['none', 'hot', 'predictive'] as const;
export type Preload = (typeof PRELOADS)[number];

export const label = (what: string) =>
  z
    .string()
    .min(1)
    .max(63)
    .regex(
      /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/,
      `${what} must be lower case letters, digits and "-", such as us-east`,
    );

export const l1Schema = z.strictObject({
  maxEntries: z
    .number()
    .int()
    .min(1, 'must be from 1 to 1000000')
    .max(1_000_000, 'must be from 1 to 1000000')
    .optional()
    .describe('Most entries in an agent’s memory. Default by tier: edge 500, regional 2000, global 5000.'),
  maxBytes: byteQuantity
    .default('64M')
    .describe('Most bytes of entries in an agent’s memory, keys and tags included.'),
  ttlSeconds: z
    .number()
    .int()
    .min(1, 'must be from 1 to 86400')
    .max(86_400, 'must be from 1 to 86400')
    .default(30)
    .describe(
      'How long an entry stays in memory where the namespace does not say; never past its TTL in L2.',
    ),
  policy: z
    .enum(L1_POLICIES, 'must be default, lru, s3fifo or tinylfu')
    .default('default')
    .describe(
      'What stays in memory when it is full: default (the best of the others for the workload, chosen all the time), lru (least recently used leaves), s3fifo or tinylfu (W-TinyLFU).',
    ),
  preload: z
    .enum(PRELOADS, 'must be none, hot or predictive')
    .default('hot')
    .describe(
      'What an agent that starts, or has lost events, reads into memory before it is asked: hot (what agents of its region are asked for most), predictive (that, and what this hour of the day asked for before), or none.',
    ),
});

export const DEFAULT_EVENT_LOG_SECONDS = 3_600;

/** Fields that a tier hands to its agents as they stand. */
export const sharedFields = {
  cacheId: label('cacheId').default('default').describe('Name of the shared Redis key space. Immutable.'),
  partitions: z
    .number()
    .int()
    .min(1, 'must be from 1 to 256')
    .max(256, 'must be from 1 to 256')
    .default(16)
    .describe('Slices of the cache, each with its own log. Stored with the cache; immutable.'),
  eventLogSeconds: z
    .number()
    .int()
    .min(60, 'must be from 60 to 604800')
    .max(604_800, 'must be from 60 to 604800')
    .default(DEFAULT_EVENT_LOG_SECONDS)
    .describe(
      'How long events are kept in Redis at most, about 10,000 of each partition; an agent that was away for longer drops what it held. The same for all agents of a cache.',
    ),
  maxStalenessMs: z
    .number()
    .int()
    .min(100, 'must be from 100 to 60000')
    .max(60_000, 'must be from 100 to 60000')
    .default(1_000)
    .describe(
      'Longest time in milliseconds that a replaced value of a critical namespace may still be answered.',
    ),
};

const namespaces = z
  .array(namespaceSchema)
  .min(1, 'must have at least one namespace')
  .max(64)
  .describe('Kinds of data with their rules. Default: the six namespaces of a GPU marketplace.');

/** How an agent in a cluster is given what must not stand in a manifest. */
export const redisSecretFields = {
  username: z.string().min(1).max(128).optional().describe('User of Redis. Left out: the default user.'),
  passwordSecretRef: secretKeyRefSchema
    .optional()
    .describe(
      'Secret with the password of Redis, in the tier’s namespace. A password itself is never written here.',
    ),
  sentinelUsername: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe('User of the sentinels themselves, where they have users.'),
  sentinelPasswordSecretRef: secretKeyRefSchema
    .optional()
    .describe('Secret with the password of the sentinels, where they ask for one.'),
  caSecretName: dnsName('a Secret’s name')
    .optional()
    .describe(
      'Secret in the tier’s namespace with ca.crt: the authorities that Redis’s certificate may be of. Default: the public ones.',
    ),
  certSecretName: dnsName('a Secret’s name')
    .optional()
    .describe(
      'Secret in the tier’s namespace with tls.crt and tls.key: the certificate that agents show to Redis.',
    ),
};

const tierFields = z.strictObject({
  region: label('region').describe(
    'Region that the agents serve; selects nodes by topology.kubernetes.io/region.',
  ),
  datacenter: label('datacenter').optional().describe('Data centre within the region, for statistics.'),
  tier: z
    .enum(NODE_TIERS, 'must be edge, regional or global')
    .describe('Node tier; decides the default size of L1.'),
  ...sharedFields,
  l1: l1Schema.prefault({}).describe('The agents’ memory.'),
  namespaces: namespaces.default([...DEFAULT_NAMESPACES]),
  redis: redisSchema.extend(redisSecretFields).describe('The shared L2.'),
  encryption: z
    .strictObject({
      secretName: dnsName('a Secret’s name')
        .optional()
        .describe(
          'Secret in the tier’s namespace whose key keys holds keys of 32 bytes as base64, one a line: the first encrypts, all decrypt. Read again when it changes.',
        ),
    })
    .prefault({})
    .describe('Encryption of the namespaces with encrypt: see docs/security.md.'),
  security: tierSecuritySchema.prefault({}).describe('Protection of the agents’ ports.'),
  tracing: tracingSchema
    .optional()
    .describe('OpenTelemetry traces of the agents: off without an endpoint. A change rolls the pods.'),
  ui: uiSchema.optional().describe('The agents’ page for people. Left out: on.'),
  ...deploymentFields,
});

type RedisSecrets = z.infer<typeof tierFields>['redis'];

function checkRedisSecrets(redis: RedisSecrets, fail: (path: string[], remedy: string) => void): void {
  for (const field of ['caSecretName', 'certSecretName'] as const)
    if (redis[field] !== undefined && !redis.tls)
      fail([field], 'may be specified only when redis.tls is true');
  for (const field of ['sentinelUsername', 'sentinelPasswordSecretRef'] as const)
    if (redis[field] !== undefined && redis.mode !== 'sentinel')
      fail([field], 'may be specified only when redis.mode is sentinel');
}

/** Agents would not start without keys. */
function checkEncryption(
  { namespaces, encryption }: z.infer<typeof tierFields>,
  fail: (path: (string | number)[], remedy: string) => void,
): void {
  namespaces.forEach(({ encrypt }, i) => {
    if (encrypt && encryption.secretName === undefined)
      fail([i, 'encrypt'], 'needs keys: give encryption.secretName, or leave it out');
  });
}

/** Spec of an EdgeCacheTier as a user writes it. */
export const tierSpecSchema = tierFields.superRefine((spec, ctx) => {
  checkNamespaces(spec.namespaces, spec.l1.ttlSeconds, (path, message) => {
    ctx.addIssue({ code: 'custom', path: ['namespaces', ...path], message });
  });
  checkEncryption(spec, (path, message) => {
    ctx.addIssue({ code: 'custom', path: ['namespaces', ...path], message });
  });
  const failRedis = (path: string[], message: string) =>
    ctx.addIssue({ code: 'custom', path: ['redis', ...path], message });
  checkRedis(spec.redis, failRedis);
  checkRedisSecrets(spec.redis, failRedis);
  checkTierSecurity(spec.security, (path, message) =>
    ctx.addIssue({ code: 'custom', path: ['security', ...path], message }),
  );
  if (spec.security.limits !== undefined)
    checkLimits(spec.security.limits, spec.namespaces, (path, message) =>
      ctx.addIssue({ code: 'custom', path: ['security', 'limits', ...path], message }),
    );
  checkDeployment(spec, spec.l1.maxBytes, (path, message) => {
    ctx.addIssue({ code: 'custom', path, message });
  });
});

/** The same without the rules across fields, for what generates the CRD. */
export const tierSpecFields = tierFields;

export type TierSpec = z.infer<typeof tierSpecSchema>;

/** Names of children are made from it, and a Service's name has at most 63 characters. */
const tierName = z
  .string()
  .min(1)
  .max(40, 'must be at most 40 characters')
  .regex(
    /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/,
    'must be lower case letters, digits and "-", such as edge-us-east',
  );

export const tierSchema = z.object({
  apiVersion: z.literal(API_VERSION, `must be ${API_VERSION}`),
  kind: z.literal(TIER_KIND, `must be ${TIER_KIND}`),
  metadata: z.looseObject({
    name: tierName,
    namespace: z.string().min(1).max(63).default('default'),
  }),
  spec: tierSpecSchema,
});

export type EdgeCacheTier = z.infer<typeof tierSchema>;

/** @throws InvalidInputError naming each wrong field. */
export function parseTier(input: unknown, what = 'EdgeCacheTier'): EdgeCacheTier {
  return parseOrThrow(tierSchema, input, what);
}
