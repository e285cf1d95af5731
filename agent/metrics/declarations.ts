import { Counter, Gauge, type Registry } from 'prom-client';

/** Values of a metric by their labels. */
export type Labelled<Label extends string> = Iterable<readonly [Readonly<Record<Label, string>>, number]>;

/**
 * Declares metrics that are read from the parts of the agent when they are scraped, and cost nothing between scrapes.
 * Labels may not be called as those that Prometheus gives to what it scrapes in Kubernetes: those would be renamed.
 */
export class Declarations {
  readonly #registers: Registry[];

  constructor(registry: Registry) {
    this.#registers = [registry];
  }

  /** @param name without `edgecache_` and `_total` */
  counter(name: string, help: string, read: () => number): void {
    this.counters(name, help, [], () => [[{}, read()]]);
  }

  /** @param name without `edgecache_` and `_total` */
  counters<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    read: () => Labelled<Label>,
  ): void {
    new Counter({
      name: `edgecache_${name}_total`,
      help,
      labelNames: [...labelNames],
      registers: this.#registers,
      collect() {
        this.reset();
        for (const [labels, value] of read()) this.inc(labels, value);
      },
    });
  }

  /** @param name without `edgecache_` */
  gauge(name: string, help: string, read: () => number): void {
    this.gauges(name, help, [], () => [[{}, read()]]);
  }

  /** @param name without `edgecache_` */
  gauges<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    read: () => Labelled<Label>,
  ): void {
    new Gauge({
      name: `edgecache_${name}`,
      help,
      labelNames: [...labelNames],
      registers: this.#registers,
      collect() {
        this.reset();
        for (const [labels, value] of read()) this.set(labels, value);
      },
    });
  }
}
