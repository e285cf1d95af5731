import { Registry } from 'prom-client';

export interface Exposition {
  readonly type: string;
  readonly body: string;
}

type Labels = Readonly<Record<string, string | number | undefined>>;

/** A line of a metric; what the library's types leave out. */
interface Sample {
  readonly labels: Labels;
  readonly value: number;
  readonly metricName?: string;
  readonly exemplar?: {
    readonly labelSet: Labels;
    readonly value: number;
    readonly timestamp: number;
  } | null;
}

interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly values: readonly Sample[];
}

const OPENMETRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

/** As a scraper asks for it: OpenMetrics, which alone has exemplars, where it accepts that; otherwise Prometheus' text. */
export async function expose(registry: Registry, accept = ''): Promise<Exposition> {
  if (!accept.includes('application/openmetrics-text'))
    return { type: Registry.PROMETHEUS_CONTENT_TYPE, body: await registry.metrics() };
  // Its enumeration of types stands for their names, and exemplars are not in its types.
  const families = (await registry.getMetricsAsJSON()) as unknown as Family[];
  return { type: OPENMETRICS, body: `${families.flatMap(linesOf).join('\n')}\n# EOF\n` };
}

/** Written here because a registry of the library writes one form only, and the one for OpenMetrics renames counters for good. */
function linesOf({ name, help, type, values }: Family): string[] {
  // A family of counters is called without the ending that its samples have.
  const family = type === 'counter' ? name.replace(/_total$/, '') : name;
  return [
    `# TYPE ${family} ${type}`,
    `# HELP ${family} ${escaped(help)}`,
    ...values.map(
      (sample) =>
        `${sample.metricName ?? name}${labelText(sample.labels)} ${numberText(sample.value)}${exemplarText(sample)}`,
    ),
  ];
}

function exemplarText({ exemplar }: Sample): string {
  if (exemplar === undefined || exemplar === null) return '';
  const { labelSet, value, timestamp } = exemplar;
  return ` # ${labelText(labelSet) || '{}'} ${numberText(value)} ${timestamp}`;
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${escaped(String(value ?? ''))}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : `${value < 0 ? '-' : '+'}Inf`;
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}
