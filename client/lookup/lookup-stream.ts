import type { ClientDuplexStream, Metadata, ServiceError } from '@grpc/grpc-js';
import {
  type BatchGetRequest,
  type BatchGetResponse,
  EdgeCacheService,
} from '../../proto/gen/edgecache/v1/edgecache.ts';
import { type AgentLink, identityOf } from '../agent-link.ts';
import { fromRefusal } from '../errors.ts';
import type { PendingLookup } from './pending-lookup.ts';

export interface LookupStreamHandlers {
  /** The agent has said something about a batch, so many milliseconds after it was sent. */
  readonly heard: (ms: number) => void;
  /** There may be room for another batch. */
  readonly room: () => void;
  /** A batch was not answered in time; told once for each. */
  readonly late: () => void;
  /** Over, with the lookups that were not answered. No error: the agent ended it in order. */
  readonly over: (unanswered: PendingLookup[], error: ServiceError | undefined) => void;
}

interface Batch {
  readonly lookups: readonly PendingLookup[];
  readonly sentAt: number;
  left: number;
  heard: boolean;
}

/** One Lookup stream to one agent, for as long as it lasts. */
export class LookupStream {
  readonly link: AgentLink;
  readonly #stream: ClientDuplexStream<BatchGetRequest, BatchGetResponse>;
  readonly #handlers: LookupStreamHandlers;
  readonly #wantTags: boolean;
  readonly #now: () => number;
  readonly #batches = new Map<number, Batch>();
  #identity = { node: '', agent: '' };
  #id = 0;
  #unheard = 0;
  #blocked = false;
  #over = false;

  constructor(link: AgentLink, wantTags: boolean, now: () => number, handlers: LookupStreamHandlers) {
    this.link = link;
    this.#wantTags = wantTags;
    this.#now = now;
    this.#handlers = handlers;
    const stream = link.stream(EdgeCacheService.lookup);
    this.#stream = stream;
    stream.on('metadata', (metadata: Metadata) => {
      this.#identity = identityOf(metadata);
    });
    stream.on('data', (response: BatchGetResponse) => this.#receive(response));
    stream.on('drain', () => {
      this.#blocked = false;
      this.#handlers.room();
    });
    stream.on('error', (error: ServiceError) => this.#finish(error));
    stream.on('end', () => this.#finish(undefined));
  }

  /** Batches of which the agent has said nothing yet. */
  get unheard(): number {
    return this.#unheard;
  }

  /** Whether what is sent now would only wait in this process. */
  get blocked(): boolean {
    return this.#blocked;
  }

  get usable(): boolean {
    return !this.#over;
  }

  send(lookups: readonly PendingLookup[]): void {
    this.#id += 1;
    const id = this.#id;
    const batch: Batch = { lookups, sentAt: this.#now(), left: lookups.length, heard: false };
    let late = false;
    const noteLate = () => {
      if (late || batch.heard) return;
      late = true;
      this.#handlers.late();
    };
    for (const lookup of lookups) lookup.late = noteLate;
    this.#batches.set(id, batch);
    this.#unheard += 1;
    const items = lookups.map(({ request }) => request);
    // Split, because a hit should not wait for what has to be fetched for another caller.
    if (!this.#stream.write({ id, items, split: true, wantTags: this.#wantTags, refreshBelowMs: 0 }))
      this.#blocked = true;
  }

  /** No more is sent; what was sent is answered. */
  end(): void {
    this.#stream.end();
  }

  cancel(): void {
    this.#stream.cancel();
  }

  #receive({ id, items, places, refusal }: BatchGetResponse): void {
    const batch = this.#batches.get(id);
    if (batch === undefined) return;
    if (!batch.heard) {
      batch.heard = true;
      this.#unheard -= 1;
      this.#handlers.heard(this.#now() - batch.sentAt);
    }
    if (refusal !== undefined) {
      const failed = places.length === 0 ? batch.lookups : places.map((place) => batch.lookups[place]);
      for (const lookup of failed) lookup?.fail(fromRefusal(refusal));
      batch.left -= failed.length;
    } else {
      items.forEach((answer, i) => {
        const lookup = batch.lookups[places.length === 0 ? i : (places[i] ?? -1)];
        if (answer.refusal !== undefined) lookup?.fail(fromRefusal(answer.refusal));
        else lookup?.answer({ answer, ...this.#identity });
      });
      batch.left -= items.length;
    }
    if (batch.left <= 0) this.#batches.delete(id);
    this.#handlers.room();
  }

  #finish(error: ServiceError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    const unanswered = [...this.#batches.values()].flatMap(({ lookups }) =>
      lookups.filter((lookup) => !lookup.over),
    );
    this.#batches.clear();
    this.#handlers.over(unanswered, error);
  }
}
