import { z } from 'zod';
import { type InputProblem, InvalidInputError } from '../../api/errors.ts';

const port = (fallback: number) => z.coerce.number().int().min(0).max(65_535).default(fallback);
const seconds = (fallback: number, min: number, max: number) => {
  const text = `must be a whole number of seconds from ${min} to ${max}`;
  return z.coerce.number(text).int(text).min(min, text).max(max, text).default(fallback);
};
const optionalText = z
  .string()
  .optional()
  .transform((text) => (text === '' ? undefined : text));

/** The operator's settings: environment alone, as the chart sets it. */
const environmentSchema = z.object({
  AGENT_IMAGE: z.string().min(1, 'must name the image of the agents'),
  AGENT_IMAGE_PULL_POLICY: z
    .enum(['Always', 'IfNotPresent', 'Never'], 'must be Always, IfNotPresent or Never')
    .default('IfNotPresent'),
  POD_NAMESPACE: z.string().min(1, 'must name the namespace of the operator'),
  POD_NAME: z.string().min(1).default('local'),
  WATCH_NAMESPACE: optionalText,
  LEASE_NAME: z.string().min(1).default('edgecache-operator'),
  RELOAD_KEY_SECRET: z.string().min(1).default('edgecache-operator-reload-key'),
  AUTHORITIES_SECRET: z.string().min(1).default('edgecache-operator-authorities'),
  TOKEN_REVIEW_BINDING: z.string().min(1).default('edgecache-operator-token-reviews'),
  CLUSTER_DOMAIN: z
    .string()
    .regex(
      /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/,
      'must be the last part of the names of Services, such as cluster.local',
    )
    .default('cluster.local'),
  HTTP_PORT: port(8080),
  AGENT_GRPC_PORT: port(7480),
  AGENT_HTTP_PORT: port(7481),
  WORKERS: z.coerce.number().int().min(1).max(32).default(4),
  STATS_INTERVAL_SECONDS: seconds(10, 1, 3_600),
  RESYNC_SECONDS: seconds(600, 10, 86_400),
  RECONCILE_TIMEOUT_SECONDS: seconds(60, 5, 600),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
});

export interface OperatorConfig {
  readonly agentImage: string;
  readonly agentImagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  readonly namespace: string;
  readonly podName: string;
  /** Left out: all namespaces. */
  readonly watchNamespace: string | undefined;
  readonly leaseName: string;
  readonly reloadKeySecret: string;
  readonly authoritiesSecret: string;
  readonly tokenReviewBinding: string;
  readonly clusterDomain: string;
  readonly httpPort: number;
  readonly agentGrpcPort: number;
  readonly agentHttpPort: number;
  readonly workers: number;
  readonly statsIntervalMs: number;
  readonly resyncMs: number;
  readonly reconcileTimeoutMs: number;
  readonly logLevel: string;
}

/** @throws InvalidInputError naming each wrong variable */
export function readOperatorConfig(env: Readonly<Record<string, string | undefined>>): OperatorConfig {
  const parsed = environmentSchema.safeParse(env);
  if (!parsed.success)
    throw new InvalidInputError('the environment', parsed.error.issues.map(toProblem(env)));
  const e = parsed.data;
  return {
    agentImage: e.AGENT_IMAGE,
    agentImagePullPolicy: e.AGENT_IMAGE_PULL_POLICY,
    namespace: e.POD_NAMESPACE,
    podName: e.POD_NAME,
    watchNamespace: e.WATCH_NAMESPACE,
    leaseName: e.LEASE_NAME,
    reloadKeySecret: e.RELOAD_KEY_SECRET,
    authoritiesSecret: e.AUTHORITIES_SECRET,
    tokenReviewBinding: e.TOKEN_REVIEW_BINDING,
    clusterDomain: e.CLUSTER_DOMAIN,
    httpPort: e.HTTP_PORT,
    agentGrpcPort: e.AGENT_GRPC_PORT,
    agentHttpPort: e.AGENT_HTTP_PORT,
    workers: e.WORKERS,
    statsIntervalMs: e.STATS_INTERVAL_SECONDS * 1000,
    resyncMs: e.RESYNC_SECONDS * 1000,
    reconcileTimeoutMs: e.RECONCILE_TIMEOUT_SECONDS * 1000,
    logLevel: e.LOG_LEVEL,
  };
}

const toProblem =
  (env: Readonly<Record<string, string | undefined>>) =>
  (issue: z.core.$ZodIssue): InputProblem => {
    const path = String(issue.path[0] ?? '');
    const given = env[path];
    return {
      path,
      given: given === undefined ? 'nothing' : JSON.stringify(given),
      remedy: given === undefined ? 'must be set' : issue.message,
    };
  };
