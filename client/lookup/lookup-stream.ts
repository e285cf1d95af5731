import type { ClientDuplexStream, Metadata, ServiceError } from '@grpc/grpc-js';
import {
  type BatchGetRequest,
  type BatchGetResponse,
  EdgeCacheService,
} from '../../proto/gen/edgecache/v1/edgecache.ts';
import { type AgentLink, identityOf } from '../agent-link.ts';
import { fromRefusal } from '../errors.ts';
import type { TraceCarrier } from '../tracing.ts';
import { decodeBatch } from './batch-decoder.ts';
import { tracesOf } from './batch-traces.ts';
import type { LookupBatch } from './lookup-batch.ts';

export interface LookupStreamHandlers {
  /** The agent has said something about a batch, so many milliseconds after it was sent. */
  readonly heard: (ms: number) => void;
  /** There may be room for another batch. */
  readonly room: () => void;
  /** A batch was not answered in time; told once for each. */
  readonly late: () => void;
  /** Over, with the batches that were not answered whole. No error: the agent ended it in order. */
  readonly over: (unanswered: LookupBatch[], error: ServiceError | undefined) => void;
}

export interface LookupStreamOptions {
  readonly wantTags: boolean;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly trace?: TraceCarrier | undefined;
}

interface Sent {
  readonly batch: LookupBatch;
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
  readonly #traced: boolean;
  readonly #sent = new Map<number, Sent>();
  #identity = { node: '', agent: '' };
  #id = 0;
  #unheard = 0;
  #blocked = false;
  #over = false;

  constructor(
    link: AgentLink,
    { wantTags, now, trace }: LookupStreamOptions,
    handlers: LookupStreamHandlers,
  ) {
    this.link = link;
    this.#wantTags = wantTags;
    this.#now = now;
    this.#handlers = handlers;
    this.#traced = trace !== undefined;
    const method = { ...EdgeCacheService.lookup, responseDeserialize: decodeBatch };
    const stream = link.stream(method, trace?.streamMetadata);
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

  send(batch: LookupBatch): void {
    this.#id += 1;
    const id = this.#id;
    const { requests, split } = batch;
    const sent: Sent = { batch, sentAt: this.#now(), left: requests.length, heard: false };
    let late = false;
    batch.late = () => {
      if (late || sent.heard) return;
      late = true;
      this.#handlers.late();
    };
    this.#sent.set(id, sent);
    // A batch that is not split is answered when its last lookup is: others need not wait for that.
    if (split) this.#unheard += 1;
    const items = [...requests];
    const traces = this.#traced ? tracesOf(batch) : undefined;
    if (!this.#stream.write({ id, items, split, wantTags: this.#wantTags, refreshBelowMs: 0, traces }))
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
    const sent = this.#sent.get(id);
    if (sent === undefined) return;
    const { batch } = sent;
    if (!sent.heard) {
      sent.heard = true;
      if (batch.split) this.#unheard -= 1;
      this.#handlers.heard(this.#now() - sent.sentAt);
    }
    if (refusal !== undefined) {
      const failed = places.length === 0 ? batch.requests.keys() : places;
      for (const place of failed) {
        batch.fail(place, fromRefusal(refusal));
        sent.left -= 1;
      }
    } else {
      const { node, agent } = this.#identity;
      items.forEach((answer, i) => {
        batch.answer(places.length === 0 ? i : (places[i] ?? -1), { answer, node, agent });
      });
      sent.left -= items.length;
    }
    if (sent.left <= 0) this.#sent.delete(id);
    this.#handlers.room();
  }

  #finish(error: ServiceError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    const unanswered = [...this.#sent.values()].map(({ batch }) => batch);
    this.#sent.clear();
    this.#handlers.over(unanswered, error);
  }
}
