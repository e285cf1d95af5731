import { z } from 'zod';
import type { InputProblem } from './errors.ts';

/**
 * Where an agent sends traces, and how many. The variables are OpenTelemetry's own; where one is set it goes before
 * the file. Without an endpoint nothing is traced.
 */

/** Share of the traces that an agent begins by itself: a busy one answers 100,000 lookups a second. */
const DEFAULT_RATIO = 0.01;

const HTTP_URL = /^https?:\/\/([A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?(\/[^\s?#]*)?$/;
/** What has the form and is no URL all the same has, say, a port of 70000. */
const isHttpUrl = (text: string) => HTTP_URL.test(text) && URL.canParse(text);
const URL_RULE =
  'must be the URL of an OTLP receiver over HTTP, such as http://otel-collector.monitoring.svc:4318';

export const tracingSchema = z.strictObject({
  endpoint: z
    .string()
    .max(1024)
    .regex(HTTP_URL, URL_RULE)
    .refine(isHttpUrl, URL_RULE)
    .optional()
    .describe(
      'OTLP receiver over HTTP that traces are sent to; /v1/traces is added. Left out: nothing is traced.',
    ),
  sampleRatio: z
    .number()
    .min(0, 'must be from 0 to 1')
    .max(1, 'must be from 0 to 1')
    .default(DEFAULT_RATIO)
    .describe(
      'Share of the traces that begin at the agent. What a client traces, or does not, is the client’s decision.',
    ),
});

export interface TracingConfig {
  /** URL that spans are posted to. */
  readonly url: string;
  /** Whether who asks decides for what it asks. */
  readonly parentBased: boolean;
  /** Share of what nobody else has decided. */
  readonly ratio: number;
  readonly serviceName: string;
  /** Of the process, beside its node, region and tier. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** Port that spans are sent to. */
export function tracingPort(endpoint: string): number {
  const { port, protocol } = new URL(endpoint);
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
}

type Environment = Readonly<Record<string, string | undefined>>;
type Problem = (name: string, remedy: string) => void;

/** What the agent understands of OpenTelemetry's variables, with what each sets. Its exporter reads further ones. */
export const TRACING_VARIABLES: Readonly<Record<string, string>> = {
  OTEL_SDK_DISABLED: '`true`: nothing is traced',
  OTEL_TRACES_EXPORTER: '`otlp` (default), or `none`: nothing is traced',
  OTEL_EXPORTER_OTLP_ENDPOINT: '`tracing.endpoint`',
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'the same as a whole URL, to which nothing is added',
  OTEL_EXPORTER_OTLP_PROTOCOL: 'only `http/json`, the default',
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'the same',
  OTEL_EXPORTER_OTLP_HEADERS: 'headers of each export, such as `authorization=Bearer%20…`',
  OTEL_EXPORTER_OTLP_TIMEOUT: 'milliseconds that an export may take, with what is tried again; default 10000',
  OTEL_EXPORTER_OTLP_COMPRESSION: '`gzip` or `none` (default)',
  OTEL_EXPORTER_OTLP_CERTIFICATE: 'file with the CA of an https endpoint',
  OTEL_TRACES_SAMPLER:
    '`parentbased_traceidratio` (default), `parentbased_always_on`, `parentbased_always_off`, `traceidratio`, `always_on`, `always_off`',
  OTEL_TRACES_SAMPLER_ARG: 'ratio of the samplers by ratio; default `tracing.sampleRatio`',
  OTEL_SERVICE_NAME: 'name of the service in traces; default `edgecache-agent`',
  OTEL_RESOURCE_ATTRIBUTES: 'attributes of the process in traces, such as `deployment.environment=test`',
};

/** @returns undefined where nothing is traced, or where there are problems */
export function resolveTracing(
  file: z.output<typeof tracingSchema>,
  env: Environment,
  problems: InputProblem[],
): TracingConfig | undefined {
  // Empty is as good as unset, by OpenTelemetry's rules.
  const of = (name: string) => env[name] || undefined;
  const problem: Problem = (path, remedy) =>
    problems.push({ path, given: JSON.stringify(env[path] ?? ''), remedy });
  const off = of('OTEL_SDK_DISABLED')?.toLowerCase() === 'true' || exporterIsOff(of, problem);
  const url = urlOf(file.endpoint, of, problem);
  if (off || url === undefined) return undefined;
  for (const name of ['OTEL_EXPORTER_OTLP_PROTOCOL', 'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL'])
    if (of(name) !== undefined && of(name) !== 'http/json')
      problem(name, 'must be http/json: receivers of OTLP over HTTP take it at the same port as protobuf');
  return {
    url,
    ...samplerOf(file.sampleRatio, of, problem),
    serviceName: of('OTEL_SERVICE_NAME') ?? 'edgecache-agent',
    attributes: attributesOf(of('OTEL_RESOURCE_ATTRIBUTES'), problem),
  };
}

type Read = (name: string) => string | undefined;

function exporterIsOff(of: Read, problem: Problem): boolean {
  const exporter = of('OTEL_TRACES_EXPORTER') ?? 'otlp';
  if (exporter !== 'otlp' && exporter !== 'none') problem('OTEL_TRACES_EXPORTER', 'must be otlp or none');
  return exporter === 'none';
}

function urlOf(endpoint: string | undefined, of: Read, problem: Problem): string | undefined {
  const whole = of('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT');
  const base = of('OTEL_EXPORTER_OTLP_ENDPOINT');
  if (whole !== undefined && !isHttpUrl(whole)) problem('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', URL_RULE);
  if (base !== undefined && !isHttpUrl(base)) problem('OTEL_EXPORTER_OTLP_ENDPOINT', URL_RULE);
  if (whole !== undefined) return whole;
  const chosen = base ?? endpoint;
  return chosen === undefined ? undefined : `${chosen.replace(/\/+$/, '')}/v1/traces`;
}

const SAMPLERS: Readonly<Record<string, (ratio: number) => Pick<TracingConfig, 'parentBased' | 'ratio'>>> = {
  always_on: () => ({ parentBased: false, ratio: 1 }),
  always_off: () => ({ parentBased: false, ratio: 0 }),
  traceidratio: (ratio) => ({ parentBased: false, ratio }),
  parentbased_always_on: () => ({ parentBased: true, ratio: 1 }),
  parentbased_always_off: () => ({ parentBased: true, ratio: 0 }),
  parentbased_traceidratio: (ratio) => ({ parentBased: true, ratio }),
};

function samplerOf(sampleRatio: number, of: Read, problem: Problem) {
  const argument = of('OTEL_TRACES_SAMPLER_ARG');
  const ratio = argument === undefined ? sampleRatio : Number(argument);
  if (!(ratio >= 0 && ratio <= 1)) problem('OTEL_TRACES_SAMPLER_ARG', 'must be a number from 0 to 1');
  const sampler = SAMPLERS[of('OTEL_TRACES_SAMPLER') ?? 'parentbased_traceidratio'];
  if (sampler !== undefined) return sampler(ratio);
  problem('OTEL_TRACES_SAMPLER', `must be one of ${Object.keys(SAMPLERS).join(', ')}`);
  return { parentBased: true, ratio };
}

/** `name=value` with commas between, values percent-encoded: the form of W3C baggage. */
function attributesOf(given: string | undefined, problem: Problem): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const pair of given?.split(',') ?? []) {
    const equals = pair.indexOf('=');
    const name = pair.slice(0, Math.max(0, equals)).trim();
    const value = decoded(pair.slice(equals + 1).trim());
    if (name !== '' && value !== undefined) attributes[name] = value;
    else
      problem(
        'OTEL_RESOURCE_ATTRIBUTES',
        'must be name=value, several with commas between them, values percent-encoded',
      );
  }
  return attributes;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
