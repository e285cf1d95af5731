import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** What of a running operator is read when it is scraped. */
export interface OperatorState {
  readonly queueDepth: () => number;
  readonly activeWorkers: () => number;
  readonly watches: () => readonly {
    readonly kind: string;
    readonly silentForMs: number;
    readonly size: number;
  }[];
  /** When certificates end that the operator has made, by tier. */
  readonly certificates: () => Iterable<readonly [tier: string, endsAt: Date]>;
  readonly authorityEndsAt: () => Date | undefined;
}

/** What the operator counts about itself, in the names that people know from controller-runtime. */
export class OperatorMetrics {
  readonly registry = new Registry();
  readonly reconciles: Counter<'result'>;
  readonly reconcileSeconds: Histogram;
  readonly queueAdds: Counter;
  readonly queueRetries: Counter;
  readonly queueWaitSeconds: Histogram;
  readonly requests: Counter<'method' | 'code'>;
  readonly relists: Counter<'kind'>;
  readonly pushes: Counter<'result'>;
  readonly leader: Gauge;

  constructor() {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    const counter = <T extends string>(name: string, help: string, labelNames: T[]) =>
      new Counter<T>({ name, help, labelNames, registers });
    this.reconciles = counter('edgecache_operator_reconcile_total', 'Reconciles by result.', ['result']);
    this.reconcileSeconds = new Histogram({
      name: 'edgecache_operator_reconcile_time_seconds',
      help: 'How long a reconcile took.',
      buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30],
      registers,
    });
    this.queueAdds = counter('edgecache_operator_workqueue_adds_total', 'Keys put into the work queue.', []);
    this.queueRetries = counter(
      'edgecache_operator_workqueue_retries_total',
      'Keys put back after a failure.',
      [],
    );
    this.queueWaitSeconds = new Histogram({
      name: 'edgecache_operator_workqueue_queue_duration_seconds',
      help: 'How long a key waited for a worker.',
      buckets: [0.001, 0.01, 0.1, 1, 10, 60],
      registers,
    });
    this.requests = counter('edgecache_operator_api_requests_total', 'Requests to the API server.', [
      'method',
      'code',
    ]);
    this.relists = counter('edgecache_operator_relists_total', 'Times that a kind was listed.', ['kind']);
    this.pushes = counter('edgecache_operator_config_pushes_total', 'Configurations handed to agents.', [
      'result',
    ]);
    this.leader = new Gauge({
      name: 'edgecache_operator_leader',
      help: '1 where this replica leads.',
      registers,
    });
  }

  /** Declares what is read when it is scraped. */
  observeState({ queueDepth, activeWorkers, watches, certificates, authorityEndsAt }: OperatorState): void {
    this.#observe('workqueue_depth', 'Keys that wait for a worker.', queueDepth);
    this.#observe('active_workers', 'Reconciles under way.', activeWorkers);
    this.#observeEach('watch_last_event_age_seconds', 'Time since a watch last said anything.', () =>
      watches().map(({ kind, silentForMs }) => [kind, silentForMs / 1000] as const),
    );
    this.#observeEach('watched_objects', 'Objects that are kept in memory.', () =>
      watches().map(({ kind, size }) => [kind, size] as const),
    );
    this.#observeEach(
      'certificate_end_timestamp_seconds',
      'When a certificate ends that the operator has made; of tiers that it looks after just now.',
      () => [...certificates()].map(([tier, endsAt]) => [tier, secondsOf(endsAt)] as const),
      'tier',
    );
    this.#observe(
      'authority_end_timestamp_seconds',
      'When the newest authority for certificates ends; 0 where none was needed yet.',
      () => secondsOf(authorityEndsAt()),
    );
  }

  #observe(name: string, help: string, read: () => number): void {
    new Gauge({
      name: `edgecache_operator_${name}`,
      help,
      registers: [this.registry],
      collect() {
        this.set(read());
      },
    });
  }

  #observeEach(
    name: string,
    help: string,
    read: () => Iterable<readonly [name: string, value: number]>,
    label: 'kind' | 'tier' = 'kind',
  ): void {
    new Gauge({
      name: `edgecache_operator_${name}`,
      help,
      labelNames: [label],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const [named, value] of read()) this.set({ [label]: named }, value);
      },
    });
  }
}

function secondsOf(moment: Date | undefined): number {
  return Math.floor((moment?.getTime() ?? 0) / 1000);
}
