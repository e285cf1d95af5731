import type { ChangeOutcome, ChangePart, FillRequest, L2Options, ReadItem, ReadResult } from '../l2/l2.ts';
import { L2 } from '../l2/l2.ts';
import type { Tracing } from './tracing.ts';

/** L2 with a span for each script that a traced request runs. What the agent does for itself has none. */
export class TracedL2 extends L2 {
  readonly #tracing: Tracing;

  constructor(next: ConstructorParameters<typeof L2>[0], options: L2Options, tracing: Tracing) {
    super(next, options);
    this.#tracing = tracing;
  }

  override read(partition: number, items: readonly ReadItem[]): Promise<ReadResult[]> {
    return this.#tracing.script({ name: 'get', partition, items }, () => super.read(partition, items));
  }

  override change(part: ChangePart): Promise<ChangeOutcome> {
    const { partition, eventId } = part;
    const attributes = { 'edgecache.event_id': eventId };
    return this.#tracing.script({ name: 'change', partition, attributes }, () => super.change(part));
  }

  override fill(request: FillRequest): Promise<string | undefined> {
    const partition = this.partitionOf(request.namespace, request.key);
    return this.#tracing.script({ name: 'fill', partition }, () => super.fill(request));
  }

  override release(namespace: string, key: string, leaseToken: string): Promise<boolean> {
    const partition = this.partitionOf(namespace, key);
    return this.#tracing.script({ name: 'release', partition }, () =>
      super.release(namespace, key, leaseToken),
    );
  }

  override versionOfEvent(partition: number, eventId: string): Promise<string | undefined> {
    const attributes = { 'edgecache.event_id': eventId };
    return this.#tracing.script({ name: 'event version', partition, attributes }, () =>
      super.versionOfEvent(partition, eventId),
    );
  }
}
