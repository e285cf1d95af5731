import type { BatchGetRequest, BatchGetResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';
import type { Answer, PartAnswers } from '../cache/answer.ts';
import type { CallRecorder } from '../metrics/call-durations.ts';
import { statusName } from './status.ts';
import type { Turns } from './turns.ts';

/** What of a bidirectional call is used. */
export interface LookupCall {
  /** False: no more before `drain`. */
  write(response: BatchGetResponse): boolean;
  pause(): unknown;
  resume(): unknown;
  end(): unknown;
  on(event: 'data', listener: (request: BatchGetRequest) => void): unknown;
  on(event: 'end' | 'drain' | 'close' | 'cancelled' | 'error', listener: () => void): unknown;
}

export interface LookupStreamOptions {
  readonly turns: Turns;
  /** Answers lookups; those that are refused have a refusal for an answer. @throws what refuses the whole batch. */
  readonly answer: (request: BatchGetRequest) => PartAnswers;
  readonly refusal: (error: unknown) => NonNullable<BatchGetResponse['refusal']>;
  /** Takes down how long batches took, from when they were begun. */
  readonly recording?: { readonly recorder: CallRecorder; readonly now: () => number };
  /** Told once, when the stream is over for good. */
  readonly closed: () => void;
}

/** Batches received and not begun. Beyond this the stream is not read, and flow control reaches the sender. */
const MAX_QUEUED = 16;
/** Lookups of one stream that wait for Redis at once; a single batch may be larger. */
const MAX_WAITING_ITEMS = 2_048;

/**
 * One Lookup stream. Memory is bounded whatever the other side does: a reader that does not read stops its own
 * batches from being begun, and batches that are not begun stop the stream from being read.
 */
export class LookupStream {
  readonly #call: LookupCall;
  readonly #options: LookupStreamOptions;
  readonly #queue: BatchGetRequest[] = [];
  readonly #turn = () => this.#next();
  /** Lookups that wait for Redis. */
  #waiting = 0;
  /** The other side reads more slowly than it is answered. */
  #blocked = false;
  #paused = false;
  #ended = false;
  #over = false;

  constructor(call: LookupCall, options: LookupStreamOptions) {
    this.#call = call;
    this.#options = options;
    call.on('data', (request) => this.#receive(request));
    call.on('end', () => this.drain());
    call.on('drain', () => {
      this.#blocked = false;
      this.#options.turns.request(this.#turn);
    });
    const gone = () => this.#finish();
    call.on('cancelled', gone);
    call.on('close', gone);
    call.on('error', gone);
  }

  /** Batches and lookups that are held for this stream. */
  get held(): { readonly queued: number; readonly waiting: number } {
    return { queued: this.#queue.length, waiting: this.#waiting };
  }

  /** Answers what was received, then ends. */
  drain(): void {
    this.#ended = true;
    this.#options.turns.request(this.#turn);
  }

  #receive(request: BatchGetRequest): void {
    if (this.#over) return;
    this.#queue.push(request);
    if (this.#queue.length >= MAX_QUEUED && !this.#paused) {
      this.#paused = true;
      this.#call.pause();
    }
    this.#options.turns.request(this.#turn);
  }

  /** Begins one batch. */
  #next(): boolean {
    if (this.#over || this.#blocked || this.#waiting >= MAX_WAITING_ITEMS) return false;
    const request = this.#queue.shift();
    if (request !== undefined) this.#begin(request);
    if (this.#paused && this.#queue.length < MAX_QUEUED / 2 && !this.#ended) {
      this.#paused = false;
      this.#call.resume();
    }
    if (this.#queue.length > 0) return true;
    if (this.#ended && this.#waiting === 0) this.#end();
    return false;
  }

  #begin(request: BatchGetRequest): void {
    const { id, items, split } = request;
    const { recording } = this.#options;
    const since = recording === undefined ? 0 : recording.now();
    let parts: PartAnswers;
    try {
      parts = this.#options.answer(request);
    } catch (error) {
      recording?.recorder.failed(statusName(error), recording.now() - since);
      this.#send({ id, items: [], places: [], refusal: this.#options.refusal(error) });
      return;
    }
    const { answers, missing, rest } = parts;
    if (rest === undefined) {
      recording?.recorder.answered(recording.now() - since);
      this.#send({ id, items: present(answers), places: [], refusal: undefined });
      return;
    }
    const apart = split && missing.length < items.length;
    if (apart) this.#sendThere(id, answers);
    this.#waiting += missing.length;
    rest.then(
      (found) => {
        recording?.recorder.answered(recording.now() - since);
        this.#land(id, found, missing, apart ? undefined : answers);
      },
      (error: unknown) => {
        recording?.recorder.failed(statusName(error), recording.now() - since);
        this.#settle(missing.length);
        this.#send({ id, items: [], places: [...missing], refusal: this.#options.refusal(error) });
      },
    );
  }

  #sendThere(id: number, answers: readonly (Answer | undefined)[]): void {
    const items: Answer[] = [];
    const places: number[] = [];
    answers.forEach((answer, place) => {
      if (answer === undefined) return;
      items.push(answer);
      places.push(place);
    });
    this.#send({ id, items, places, refusal: undefined });
  }

  /** @param answers those that were there already, where they wait for the rest. */
  #land(
    id: number,
    found: readonly Answer[],
    missing: readonly number[],
    answers: (Answer | undefined)[] | undefined,
  ): void {
    this.#settle(missing.length);
    if (answers === undefined) {
      this.#send({ id, items: [...found], places: [...missing], refusal: undefined });
      return;
    }
    missing.forEach((place, i) => {
      answers[place] = found[i];
    });
    this.#send({ id, items: present(answers), places: [], refusal: undefined });
  }

  #settle(count: number): void {
    this.#waiting -= count;
    this.#options.turns.request(this.#turn);
  }

  #send(response: BatchGetResponse): void {
    if (this.#over) return;
    if (!this.#call.write(response)) this.#blocked = true;
  }

  #end(): void {
    if (this.#over) return;
    this.#call.end();
    this.#finish();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#queue.length = 0;
    this.#options.closed();
  }
}

function present(answers: readonly (Answer | undefined)[]): Answer[] {
  const all: Answer[] = [];
  for (const answer of answers) {
    if (answer === undefined) throw new Error('an answer is missing');
    all.push(answer);
  }
  return all;
}
