import type { Metadata } from '@grpc/grpc-js';
import type { Attributes } from '@opentelemetry/api';
import type { BatchGetRequest, GetRequest, Traces_Trace } from '../../proto/gen/edgecache/v1/edgecache.ts';
import type { Answer, PartAnswers } from '../cache/answer.ts';
import type { AnswerBatch } from './agent-tracing.ts';
import { namespacesOf, outcomes, toldOf } from './traced-server.ts';
import { parseTraceparent } from './traceparent.ts';
import { endFailed, idsOf, type Traced, type Tracing } from './tracing.ts';

/** A client that says so decides for all that it asks on the stream: what has no trace is not sampled. */
const DECIDES_METADATA = 'edgecache-traces';
const METHOD = 'Lookup';

/** One span of a batch: all of it, or the lookups of one caller among others'. */
interface Part extends Traced {
  /** Undefined: all. */
  readonly places: readonly number[] | undefined;
}

/** The same answers; what of a batch is of a sampled trace has a span. */
export function tracedLookups(tracing: Tracing, metadata: Metadata, answer: AnswerBatch): AnswerBatch {
  const clientDecides = metadata.get(DECIDES_METADATA).length > 0;
  return (request) => {
    const parts = partsOf(tracing, request, clientDecides);
    return parts.length === 0 ? answer(request) : answerTraced(tracing, parts, request, answer);
  };
}

function partsOf(tracing: Tracing, { traces, items }: BatchGetRequest, clientDecides: boolean): Part[] {
  if (traces === undefined) {
    const span = clientDecides ? undefined : tracing.rpcSpan(METHOD, undefined);
    return span?.isRecording() === true ? [{ span, places: undefined }] : [];
  }
  const parts: Part[] = [];
  let room = items.length;
  for (const trace of traces.traces) {
    // A lookup is of one caller, so there cannot be more places than lookups: what claims to be has no spans.
    room -= trace.places.length || items.length;
    if (room < 0) break;
    const part = partOf(tracing, trace, items);
    if (part !== undefined) parts.push(part);
  }
  return parts;
}

/** Undefined where the trace is not sampled here, or is none. */
function partOf(
  tracing: Tracing,
  { traceparent, places }: Traces_Trace,
  items: readonly GetRequest[],
): Part | undefined {
  const parent = parseTraceparent(traceparent);
  if (parent === undefined || places.some((place) => place >= items.length)) return undefined;
  const span = tracing.rpcSpan(METHOD, parent);
  if (!span.isRecording()) return undefined;
  const [place = 0] = places;
  const only = places.length === 1 ? items[place] : undefined;
  const part = { span, places: places.length === 0 ? undefined : places };
  return only === undefined ? part : { ...part, only };
}

function answerTraced(
  tracing: Tracing,
  parts: readonly Part[],
  request: BatchGetRequest,
  answer: AnswerBatch,
): PartAnswers {
  const since = performance.now();
  let answered: PartAnswers;
  try {
    answered = tracing.answering(parts, () => answer(request));
  } catch (error) {
    for (const { span } of parts) endFailed(span, error);
    throw error;
  }
  const { missing, rest } = answered;
  // A copy, because the stream fills its holes itself.
  const answers = [...answered.answers];
  const end = (part: Part) => {
    part.span.setAttributes(attributesOf(part, request.items, answers)).end();
    tracing.exemplify(METHOD, 'OK', performance.now() - since, idsOf(part.span));
  };
  if (rest === undefined) {
    parts.forEach(end);
    return answered;
  }
  const holes = new Set(missing);
  const waiting: Part[] = [];
  for (const part of parts) {
    if (isAnswered(part, request, holes)) end(part);
    else waiting.push(part);
  }
  rest.then(
    (found) => {
      missing.forEach((place, i) => {
        answers[place] = found[i];
      });
      waiting.forEach(end);
    },
    (error: unknown) => {
      for (const { span } of waiting) endFailed(span, error);
    },
  );
  return answered;
}

/** Whether its caller is answered before the rest of the batch. */
function isAnswered({ places }: Part, { split }: BatchGetRequest, holes: ReadonlySet<number>): boolean {
  return split && places !== undefined && !places.some((place) => holes.has(place));
}

function attributesOf(
  { places, only }: Part,
  items: readonly GetRequest[],
  answers: readonly (Answer | undefined)[],
): Attributes {
  const asked = places ?? [...items.keys()];
  const given = asked.flatMap((place) => answers[place] ?? []);
  const [answer] = given;
  const batch = { 'edgecache.batch': items.length };
  if (only !== undefined && answer !== undefined)
    return { ...batch, 'edgecache.namespace': only.namespace, ...toldOf(answer) };
  return {
    ...batch,
    'edgecache.items': asked.length,
    'edgecache.namespaces': namespacesOf(asked.flatMap((place) => items[place] ?? [])),
    ...outcomes(given),
  };
}
