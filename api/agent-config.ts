import { z } from 'zod';
import { type InputProblem, InvalidInputError, parseOrThrow } from './errors.ts';
import {
  checkNamespaces,
  DEFAULT_NAMESPACES,
  type Namespace,
  namespaceSchema,
  resolveNamespace,
} from './namespace.ts';
import { authProblems, type NamedToken, parseTokens } from './port-auth.ts';
import { checkLimits } from './port-limits.ts';
import { quantityToBytes } from './quantity.ts';
import { checkRedis, REDIS_MODES, redisFileFields, redisSchema } from './redis.ts';
import { checkSecurity, securitySchema } from './security.ts';
import {
  DEFAULT_EVENT_LOG_SECONDS,
  type EdgeCacheTier,
  L1_ENTRIES_BY_TIER,
  type L1Policy,
  l1Schema,
  label,
  NODE_TIERS,
  type Preload,
  sharedFields,
} from './tier.ts';
import { resolveTracing, TRACING_VARIABLES, type TracingConfig, tracingSchema } from './tracing.ts';
import { uiSchema } from './ui.ts';

const TCP_ADDRESS = String.raw`(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}`;
/** The kernel takes no longer path: sun_path of unix(7) less its final zero. */
const SOCKET_ADDRESS = 'unix:/[^,]{1,106}';
const ANY_ADDRESS = `(${TCP_ADDRESS}|${SOCKET_ADDRESS})`;

/** `host:port`. Port 0 asks the system for a free one. */
const tcpAddress = z
  .string()
  .max(260)
  .regex(new RegExp(`^${TCP_ADDRESS}$`), 'must be host:port, such as 0.0.0.0:7481');

/** `host:port` and `unix:/path`, one or more. */
const listenAddresses = z
  .string()
  .max(520)
  .regex(
    new RegExp(`^${ANY_ADDRESS}(,${ANY_ADDRESS})*$`),
    'must be host:port, such as 0.0.0.0:7480, or unix:/path of at most 107 bytes, or several with commas between them',
  );

/** Written by the operator; an agent without it takes no reloads over HTTP. */
const originSchema = z.strictObject({
  tier: z.string().max(128).describe('namespace/name of the tier.'),
  uid: z.string().max(64).describe('uid of the tier: a file of another one is refused.'),
  generation: z
    .number()
    .int()
    .min(0)
    .describe('Generation of the tier: an agent never goes back to a lower one.'),
  reloadKey: z
    .string()
    .max(128)
    .describe('Ed25519 public key (SPKI, base64) that a reload must be signed with: see api/reload.ts.'),
});

/** The agent's file of configuration: what a tier decides, and what its node adds. */
export const agentConfigSchema = z
  .strictObject({
    nodeId: z
      .string()
      .min(1)
      .max(253)
      .default('local')
      .describe('Name of this node. Environment: EDGE_NODE_ID.'),
    region: label('region').default('local').describe('Environment: EDGE_NODE_REGION.'),
    datacenter: z.string().max(63).default('').describe('Environment: EDGE_NODE_DATACENTER.'),
    tier: z
      .enum(NODE_TIERS, 'must be edge, regional or global')
      .default('edge')
      .describe('Environment: EDGE_NODE_CACHE_TIER.'),
    ...sharedFields,
    l1: l1Schema.prefault({}),
    namespaces: z
      .array(namespaceSchema)
      .min(1, 'must have at least one namespace')
      .max(64)
      .default([...DEFAULT_NAMESPACES]),
    redis: redisSchema.extend(redisFileFields).prefault({ nodes: ['127.0.0.1:6379'] }),
    grpcAddress: listenAddresses
      .default('0.0.0.0:7480')
      .describe(
        'host:port, or unix:/path, or several with commas between them. Environment: CACHE_GRPC_ADDRESS.',
      ),
    httpAddress: tcpAddress.default('0.0.0.0:7481').describe('Environment: CACHE_HTTP_ADDRESS.'),
    eventDriven: z
      .boolean()
      .default(true)
      .describe(
        'Environment: CACHE_ENABLE_EVENT_DRIVEN. Without events, critical namespaces are answered from L2 only.',
      ),
    metrics: z.boolean().default(true).describe('Environment: CACHE_ENABLE_METRICS.'),
    ui: uiSchema.prefault({}).describe('Environment: CACHE_ENABLE_UI sets ui.enabled.'),
    healthCheckIntervalSeconds: z
      .number()
      .int()
      .min(1)
      .max(300)
      .default(5)
      .describe('Environment: CACHE_HEALTH_CHECK_INTERVAL. How often memory and health of Redis are read.'),
    fillLeaseMs: z
      .number()
      .int()
      .min(100)
      .max(60_000)
      .default(5_000)
      .describe('How long a caller that was given a miss may take to load.'),
    outbox: z
      .strictObject({
        maxItems: z.number().int().min(1).max(1_000_000).default(10_000),
        maxBytes: z
          .number()
          .int()
          .min(1024)
          .max(1024 ** 3)
          .default(32 * 1024 ** 2),
        dir: z
          .string()
          .max(4096)
          .optional()
          .describe('Environment: CACHE_OUTBOX_DIR. Where queued changes outlive a restart.'),
      })
      .prefault({})
      .describe('Changes accepted while Redis is out of reach.'),
    security: securitySchema.prefault({}).describe('Protection of the ports: see docs/security.md.'),
    tracing: tracingSchema
      .prefault({})
      .describe('OpenTelemetry traces: off without an endpoint. See docs/tracing.md.'),
    encryption: z
      .strictObject({
        keyFile: z
          .string()
          .min(1)
          .max(4096)
          .optional()
          .describe(
            'Environment: CACHE_ENCRYPTION_KEY_FILE. Keys of 32 bytes as base64, one a line: the first encrypts, all decrypt. Read again when it changes.',
          ),
      })
      .prefault({})
      .describe('Encryption of the namespaces with encrypt: see docs/security.md.'),
    origin: originSchema
      .optional()
      .describe(
        'The tier in a cluster that the file was made from, and who may replace it while the agent runs.',
      ),
    logLevel: z
      .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
      .default('info')
      .describe('Environment: LOG_LEVEL.'),
  })
  .superRefine((config, ctx) => {
    checkNamespaces(config.namespaces, config.l1.ttlSeconds, (path, message) => {
      ctx.addIssue({ code: 'custom', path: ['namespaces', ...path], message });
    });
    config.namespaces.forEach(({ encrypt }, i) => {
      if (encrypt && config.encryption.keyFile === undefined)
        ctx.addIssue({
          code: 'custom',
          path: ['namespaces', i, 'encrypt'],
          message: 'needs keys: set encryption.keyFile (CACHE_ENCRYPTION_KEY_FILE), or leave it out',
        });
    });
    checkRedis(config.redis, (path, message) =>
      ctx.addIssue({ code: 'custom', path: ['redis', ...path], message }),
    );
    checkSecurity(config.security, (path, message) =>
      ctx.addIssue({ code: 'custom', path: ['security', ...path], message }),
    );
    checkLimits(config.security.limits, config.namespaces, (path, message) =>
      ctx.addIssue({ code: 'custom', path: ['security', 'limits', ...path], message }),
    );
  });

export type AgentFile = z.input<typeof agentConfigSchema>;

/** Secrets come from the environment alone. */
export interface RedisCredentials {
  readonly username?: string;
  readonly password?: string;
  /** Of the sentinels themselves, which have users of their own. */
  readonly sentinelUsername?: string;
  readonly sentinelPassword?: string;
}

/** Everything an agent runs by, with all defaults filled in. */
export interface AgentConfig
  extends Omit<z.output<typeof agentConfigSchema>, 'namespaces' | 'l1' | 'tracing'> {
  readonly namespaces: readonly Namespace[];
  readonly l1: {
    readonly maxEntries: number;
    readonly maxBytes: number;
    readonly ttlSeconds: number;
    readonly policy: L1Policy;
    readonly preload: Preload;
  };
  readonly credentials: RedisCredentials;
  /** That callers of the gRPC port may show, from the environment; more may be in `security.auth.tokenFile`. */
  readonly tokens: readonly NamedToken[];
  /** Undefined: nothing is traced. */
  readonly tracing: TracingConfig | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;
type Setter = ((file: Record<string, unknown>, value: unknown) => void) & { readonly field: string };

const at = (...path: string[]): Setter => {
  const set = (file: Record<string, unknown>, value: unknown) => {
    let target = file;
    for (const part of path.slice(0, -1)) {
      const next = target[part];
      // A copy, so that the caller's object is never changed.
      const child: Record<string, unknown> = typeof next === 'object' && next !== null ? { ...next } : {};
      target[part] = child;
      target = child;
    }
    target[path.at(-1) ?? ''] = value;
  };
  return Object.assign(set, { field: path.join('.') });
};

const wholeNumber = z
  .string()
  .regex(/^[0-9]{1,15}$/, 'must be a whole number')
  .transform(Number);
const switchText = z
  .enum(['true', 'false', '1', '0', 'yes', 'no'], 'must be true or false')
  .transform((t) => ['true', '1', 'yes'].includes(t));
const text = z.string().min(1, 'must not be empty');
const list = text.transform((t) => t.split(',').map((part) => part.trim()));
const mode = z.enum(REDIS_MODES, 'must be standalone, sentinel or cluster');

/** Each environment variable: how its text is read, and the field that it sets. */
const ENVIRONMENT: Readonly<Record<string, readonly [z.ZodType, Setter]>> = {
  REDIS_MODE: [mode, at('redis', 'mode')],
  REDIS_NODES: [list, at('redis', 'nodes')],
  REDIS_DB: [wholeNumber, at('redis', 'db')],
  REDIS_SSL: [switchText, at('redis', 'tls')],
  REDIS_CA_FILE: [text, at('redis', 'caFile')],
  REDIS_CERT_FILE: [text, at('redis', 'certFile')],
  REDIS_KEY_FILE: [text, at('redis', 'keyFile')],
  REDIS_MAX_CONNECTIONS: [wholeNumber, at('redis', 'maxConnections')],
  REDIS_SENTINEL_MASTER: [text, at('redis', 'sentinelMaster')],
  EDGE_NODE_ID: [text, at('nodeId')],
  EDGE_NODE_REGION: [text, at('region')],
  EDGE_NODE_DATACENTER: [text, at('datacenter')],
  EDGE_NODE_CACHE_TIER: [text, at('tier')],
  CACHE_ID: [text, at('cacheId')],
  CACHE_L1_SIZE: [wholeNumber, at('l1', 'maxEntries')],
  CACHE_L1_POLICY: [text, at('l1', 'policy')],
  CACHE_L1_PRELOAD: [text, at('l1', 'preload')],
  CACHE_ENABLE_EVENT_DRIVEN: [switchText, at('eventDriven')],
  CACHE_ENABLE_METRICS: [switchText, at('metrics')],
  CACHE_ENABLE_UI: [switchText, at('ui', 'enabled')],
  CACHE_HEALTH_CHECK_INTERVAL: [wholeNumber, at('healthCheckIntervalSeconds')],
  CACHE_GRPC_ADDRESS: [text, at('grpcAddress')],
  CACHE_HTTP_ADDRESS: [text, at('httpAddress')],
  CACHE_ENCRYPTION_KEY_FILE: [text, at('encryption', 'keyFile')],
  CACHE_OUTBOX_DIR: [text, at('outbox', 'dir')],
  CACHE_MAX_STALENESS_MS: [wholeNumber, at('maxStalenessMs')],
  CACHE_ENABLE_TLS: [switchText, at('security', 'tls', 'enabled')],
  CACHE_TLS_CERT_FILE: [text, at('security', 'tls', 'certFile')],
  CACHE_TLS_KEY_FILE: [text, at('security', 'tls', 'keyFile')],
  CACHE_TLS_CA_FILE: [text, at('security', 'tls', 'caFile')],
  CACHE_TLS_CLIENT_CERT: [text, at('security', 'tls', 'clientCert')],
  CACHE_REQUIRE_AUTH: [switchText, at('security', 'auth', 'required')],
  CACHE_AUTH_TOKEN_FILE: [text, at('security', 'auth', 'tokenFile')],
  CACHE_AUTH_SERVICE_ACCOUNTS: [switchText, at('security', 'auth', 'serviceAccounts')],
  CACHE_AUTH_AUDIENCE: [text, at('security', 'auth', 'audience')],
  LOG_LEVEL: [text, at('logLevel')],
};

/** Read, but by rules of their own. A name with one of these prefixes that is in neither list is refused. */
const OTHER_VARIABLES = new Set([
  'REDIS_HOST',
  'REDIS_PORT',
  'REDIS_USERNAME',
  'REDIS_PASSWORD',
  'REDIS_SENTINEL_USERNAME',
  'REDIS_SENTINEL_PASSWORD',
  'CACHE_AUTH_TOKEN',
]);
/** Redis and edge variables are not policed: Kubernetes itself adds REDIS_SERVICE_HOST and the like. */
const POLICED_PREFIX = 'CACHE_';

/** Names of the environment variables that an agent reads, for help texts and documentation. */
export const AGENT_ENVIRONMENT: readonly string[] = [
  ...Object.keys(ENVIRONMENT),
  ...OTHER_VARIABLES,
  ...Object.keys(TRACING_VARIABLES),
].sort();

/** The field of the file that a variable sets; those that are not here have rules of their own. */
export const AGENT_ENVIRONMENT_FIELDS: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(ENVIRONMENT).map(([name, [, set]]) => [name, set.field]),
);

/**
 * Configuration of an agent: file, overridden by environment.
 * @throws InvalidInputError naming each wrong field or variable.
 */
export function resolveAgentConfig(
  file: unknown,
  env: Environment,
  what = 'agent configuration',
): AgentConfig {
  const merged: Record<string, unknown> = {
    ...parseOrThrow(z.record(z.string(), z.unknown()), file ?? {}, what),
  };
  const problems: InputProblem[] = [];
  applyEnvironment(merged, env, problems);
  applyHostAndPort(merged, env, problems);
  if (problems.length > 0) throw new InvalidInputError('the environment', problems);
  const { namespaces, l1, tracing, ...rest } = parseOrThrow(agentConfigSchema, merged, what);
  const traced = resolveTracing(tracing, env, problems);
  if (problems.length > 0) throw new InvalidInputError('the environment', problems);
  const tokens =
    env.CACHE_AUTH_TOKEN === undefined ? [] : parseTokens(env.CACHE_AUTH_TOKEN, ',', 'CACHE_AUTH_TOKEN');
  problems.push(...authProblems(rest.security, tokens));
  if (problems.length > 0) throw new InvalidInputError(what, problems);
  return {
    ...rest,
    tokens,
    namespaces: namespaces.map((spec) => resolveNamespace(spec, l1.ttlSeconds)),
    l1: {
      maxEntries: l1.maxEntries ?? L1_ENTRIES_BY_TIER[rest.tier],
      maxBytes: quantityToBytes(l1.maxBytes),
      ttlSeconds: l1.ttlSeconds,
      policy: l1.policy,
      preload: l1.preload,
    },
    credentials: redisCredentials(rest.redis.username, env),
    tracing: traced,
  };
}

function redisCredentials(usernameOfFile: string | undefined, env: Environment): RedisCredentials {
  const username = env.REDIS_USERNAME || usernameOfFile;
  return {
    ...(username ? { username } : {}),
    ...(env.REDIS_PASSWORD ? { password: env.REDIS_PASSWORD } : {}),
    ...(env.REDIS_SENTINEL_USERNAME ? { sentinelUsername: env.REDIS_SENTINEL_USERNAME } : {}),
    ...(env.REDIS_SENTINEL_PASSWORD ? { sentinelPassword: env.REDIS_SENTINEL_PASSWORD } : {}),
  };
}

function applyEnvironment(target: Record<string, unknown>, env: Environment, problems: InputProblem[]): void {
  for (const [name, [schema, set]] of Object.entries(ENVIRONMENT)) {
    const given = env[name];
    if (given === undefined) continue;
    const parsed = schema.safeParse(given);
    if (parsed.success) set(target, parsed.data);
    else
      problems.push({
        path: name,
        given: JSON.stringify(given),
        remedy: parsed.error.issues[0]?.message ?? 'invalid',
      });
  }
  refuseUnknown(env, problems);
}

function refuseUnknown(env: Environment, problems: InputProblem[]): void {
  for (const name of Object.keys(env)) {
    if (!name.startsWith(POLICED_PREFIX) || name in ENVIRONMENT || OTHER_VARIABLES.has(name)) continue;
    problems.push({
      path: name,
      given: 'an unknown variable',
      remedy: `remove it or correct its name; known: ${AGENT_ENVIRONMENT.filter((n) => n.startsWith(POLICED_PREFIX)).join(', ')}`,
    });
  }
}

function applyHostAndPort(target: Record<string, unknown>, env: Environment, problems: InputProblem[]): void {
  if (env.REDIS_HOST === undefined && env.REDIS_PORT === undefined) return;
  if (env.REDIS_NODES !== undefined) {
    problems.push({
      path: 'REDIS_HOST',
      given: JSON.stringify(env.REDIS_HOST ?? ''),
      remedy: 'may not be specified together with REDIS_NODES; remove one of the two',
    });
    return;
  }
  const port = env.REDIS_PORT ?? '6379';
  if (!/^[0-9]{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535) {
    problems.push({
      path: 'REDIS_PORT',
      given: JSON.stringify(port),
      remedy: 'must be a port from 1 to 65535',
    });
    return;
  }
  at('redis', 'nodes')(target, [`${env.REDIS_HOST ?? '127.0.0.1'}:${port}`]);
}

/** The agent's file that a tier stands for; the node adds its id. */
export function agentFileOf(tier: EdgeCacheTier): AgentFile {
  const {
    region,
    datacenter,
    tier: nodeTier,
    cacheId,
    partitions,
    maxStalenessMs,
    eventLogSeconds,
    l1,
    namespaces,
    redis,
    tracing,
    ui,
  } = tier.spec;
  return {
    region,
    ...(datacenter === undefined ? {} : { datacenter }),
    tier: nodeTier,
    cacheId,
    partitions,
    maxStalenessMs,
    l1,
    namespaces,
    // Names of Secrets stay behind, and the user: agents in a cluster have it from the environment.
    redis: redisSchema.strip().parse(redis),
    ...(tracing === undefined ? {} : { tracing }),
    // Left out where they say nothing new, so that agents of an older image take the file.
    ...(eventLogSeconds === DEFAULT_EVENT_LOG_SECONDS ? {} : { eventLogSeconds }),
    ...(ui === undefined ? {} : { ui }),
  };
}
