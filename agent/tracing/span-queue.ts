import type { ReadableSpan, SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace';
import type { Logger } from 'pino';

export interface SpanQueueOptions {
  /** Has a deadline for each export. */
  readonly exporter: SpanExporter;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly log: Logger;
}

/** Spans that wait for the collector; some 2 MB at most. OpenTelemetry's own default. */
const MAX_QUEUED = 2_048;
const MAX_BATCH = 512;
/** Few spans travel together after so long, and a failed export is followed by the next after so long. */
const DELAY_MS = 1_000;
const SAY_EVERY_MS = 60_000;
const SAMPLED = 1;

/**
 * Spans that have ended, on their way to the collector: one export at a time, and what does not fit is dropped and
 * counted. OpenTelemetry's own processor drops in silence.
 */
export class SpanQueue implements SpanProcessor {
  exported = 0;
  /** Spans that found the queue full. */
  overflowed = 0;
  /** Spans that the collector did not take. */
  refused = 0;
  readonly #options: SpanQueueOptions;
  readonly #spans: ReadableSpan[] = [];
  #underWay = 0;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #saidAt: number | undefined;
  #unsaid = 0;

  constructor(options: SpanQueueOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#spans.length;
  }

  onStart(): void {
    // Spans count when they end.
  }

  onEnd(span: ReadableSpan): void {
    if ((span.spanContext().traceFlags & SAMPLED) === 0) return;
    if (this.#spans.length >= MAX_QUEUED) {
      this.overflowed += 1;
      return;
    }
    this.#spans.push(span);
    this.#timer ??= setTimeout(() => this.#tick(), DELAY_MS).unref();
    if (this.#spans.length >= MAX_BATCH) void this.forceFlush();
  }

  /** Exports what waits now, up to the first export that fails. */
  forceFlush(): Promise<void> {
    this.#running ??= this.#exportAll().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Exports for so long at most; what is left then is dropped. */
  async stop(timeoutMs: number): Promise<void> {
    clearTimeout(this.#timer);
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    await Promise.race([this.#flushAll(), late]);
    clearTimeout(timer);
    clearTimeout(this.#timer);
    const left = this.#underWay + this.#spans.splice(0).length;
    this.refused += left;
    if (left > 0)
      this.#options.log.warn({ spans: left }, 'stopping with spans that the collector has not taken');
    // Not awaited: a collector that does not answer has its own deadline.
    this.#options.exporter.shutdown().catch(() => undefined);
  }

  shutdown(): Promise<void> {
    return this.stop(0);
  }

  #tick(): void {
    this.#timer = undefined;
    void this.forceFlush().then(() => {
      if (this.#spans.length > 0) this.#timer ??= setTimeout(() => this.#tick(), DELAY_MS).unref();
    });
  }

  /** An export that is under way took its spans before the last ones ended. */
  async #flushAll(): Promise<void> {
    await this.#running;
    await this.forceFlush();
  }

  async #exportAll(): Promise<void> {
    while (this.#spans.length > 0) {
      const batch = this.#spans.splice(0, MAX_BATCH);
      this.#underWay = batch.length;
      const error = await this.#export(batch);
      this.#underWay = 0;
      if (error === undefined) {
        this.exported += batch.length;
        continue;
      }
      this.refused += batch.length;
      this.#say(batch.length, error);
      return;
    }
  }

  #export(batch: ReadableSpan[]): Promise<string | undefined> {
    return new Promise((resolve) => {
      this.#options.exporter.export(batch, ({ code, error }) =>
        resolve(code === 0 ? undefined : (error?.message ?? 'for no reason given')),
      );
    });
  }

  #say(spans: number, error: string): void {
    this.#unsaid += spans;
    const now = this.#options.now();
    if (this.#saidAt !== undefined && now - this.#saidAt < SAY_EVERY_MS) return;
    this.#options.log.warn(
      { spans: this.#unsaid, error },
      'spans were lost: the collector does not take them',
    );
    this.#saidAt = now;
    this.#unsaid = 0;
  }
}
