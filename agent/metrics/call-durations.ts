import { Histogram, type Registry } from 'prom-client';

/** Upper bounds in seconds: from an answer of memory to the longest that a caller waits. */
const BOUNDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
] as const;
const NAME = 'edgecache_call_duration_seconds';
const HELP =
  'Calls of the gRPC port from their receipt to their answer, by method and outcome; each batch of a Lookup stream is one.';

/** Labels of an exemplar, by the names that Grafana looks for. */
export interface TraceIds {
  readonly trace_id: string;
  readonly span_id: string;
}

/** One observation of a trace, beside the counts of its bucket. */
interface Exemplar {
  readonly labelSet: TraceIds;
  readonly value: number;
  /** Seconds since 1970. */
  readonly timestamp: number;
}

/** A line of what is scraped, as the registry of prom-client takes it. */
interface Sample {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly sharedLabels: Readonly<Record<string, string>>;
  readonly value: number;
  readonly exemplar?: Exemplar | undefined;
}

/** How long the calls of one method with one outcome took. */
class Durations {
  readonly counts = new Float64Array(BOUNDS.length);
  count = 0;
  sum = 0;
  /** By bucket, the last beyond all bounds; nothing where no call was traced. */
  exemplars: (Exemplar | undefined)[] | undefined;

  observe(seconds: number): void {
    this.count += 1;
    this.sum += seconds;
    for (let i = 0; i < BOUNDS.length; i++) {
      if (seconds <= (BOUNDS[i] ?? 0)) {
        this.counts[i] = (this.counts[i] ?? 0) + 1;
        return;
      }
    }
  }
}

/** Takes down the calls of one method. */
export interface CallRecorder {
  /** Answered. @param ms since it was received */
  answered(ms: number): void;
  /** @param code of gRPC, such as NOT_FOUND */
  failed(code: string, ms: number): void;
}

/**
 * A histogram of calls by method and outcome. prom-client's own looks labels up by a text that it makes of them at each
 * observation, which a lookup from memory would feel; here an observation allocates nothing.
 */
export class CallDurations {
  readonly #methods = new Map<string, Map<string, Durations>>();

  constructor(registry: Registry) {
    new CallHistogram(registry, () => this.#samples());
  }

  recorder(method: string): CallRecorder {
    const outcomes = new Map<string, Durations>();
    this.#methods.set(method, outcomes);
    const ok = new Durations();
    outcomes.set('OK', ok);
    return {
      answered: (ms) => ok.observe(ms / 1000),
      failed: (code, ms) => {
        const known = outcomes.get(code);
        const durations = known ?? new Durations();
        if (known === undefined) outcomes.set(code, durations);
        durations.observe(ms / 1000);
      },
    };
  }

  /** Makes an example of a traced call, which was observed as any other. */
  exemplify(method: string, code: string, ms: number, labelSet: TraceIds): void {
    const durations = this.#methods.get(method)?.get(code);
    if (durations === undefined) return;
    const value = ms / 1000;
    const bucket = BOUNDS.findIndex((bound) => value <= bound);
    durations.exemplars ??= new Array(BOUNDS.length + 1).fill(undefined);
    const at = bucket === -1 ? BOUNDS.length : bucket;
    durations.exemplars[at] = { labelSet, value, timestamp: Date.now() / 1000 };
  }

  #samples(): Sample[] {
    const samples: Sample[] = [];
    for (const [method, outcomes] of this.#methods) {
      for (const [code, durations] of outcomes) {
        // A method that nobody has called needs no buckets.
        if (durations.count > 0) samples.push(...samplesOf(durations, { method, code }));
      }
    }
    return samples;
  }
}

function samplesOf(
  { counts, count, sum, exemplars }: Durations,
  sharedLabels: Record<string, string>,
): Sample[] {
  let below = 0;
  const buckets = BOUNDS.map((le, i): Sample => {
    below += counts[i] ?? 0;
    return {
      metricName: `${NAME}_bucket`,
      labels: { le },
      sharedLabels,
      value: below,
      exemplar: exemplars?.[i],
    };
  });
  return [
    ...buckets,
    {
      metricName: `${NAME}_bucket`,
      labels: { le: '+Inf' },
      sharedLabels,
      value: count,
      exemplar: exemplars?.[BOUNDS.length],
    },
    { metricName: `${NAME}_sum`, labels: {}, sharedLabels, value: sum },
    { metricName: `${NAME}_count`, labels: {}, sharedLabels, value: count },
  ];
}

/** A histogram whose values are kept elsewhere. */
class CallHistogram extends Histogram<'method' | 'code'> {
  readonly #read: () => Sample[];

  constructor(registry: Registry, read: () => Sample[]) {
    super({
      name: NAME,
      help: HELP,
      labelNames: ['method', 'code'],
      buckets: [...BOUNDS],
      registers: [registry],
    });
    this.#read = read;
  }

  /** Not in the library's types: where its registry, and its own `get`, take the values from. */
  getForPromString() {
    return Promise.resolve({
      name: NAME,
      help: HELP,
      type: 'histogram',
      aggregator: 'sum',
      values: this.#read(),
    });
  }
}
