/**
 * Runs inside a pod of the cluster, in the agent's image: asks agents what a line on stdin says, and writes the answer
 * as a line. Given to Node as text, two folders below the sources in the image, so that the import below holds there too.
 */
import { createInterface } from 'node:readline';
import { type Client, credentials, Metadata } from '@grpc/grpc-js';
import {
  EdgeCacheClient,
  GetRequest,
  InvalidateRequest,
  PublishRequest,
  PutRequest,
} from '../../proto/gen/edgecache/v1/edgecache.ts';

interface Question {
  readonly id: number;
  readonly address: string;
  readonly method: string;
  readonly request: object;
  readonly timeoutMs: number;
  readonly isFresh: boolean;
}

type Callback = (error: { code: number; details: string } | null, response: unknown) => void;
type Options = { deadline: number };
type Ask = (client: EdgeCacheClient, request: object, options: Options, callback: Callback) => unknown;

const METHODS: Readonly<Record<string, Ask>> = {
  get: (client, request, options, callback) =>
    client.get(GetRequest.fromPartial(request), new Metadata(), options, callback),
  put: (client, request, options, callback) =>
    client.put(PutRequest.fromPartial(request), new Metadata(), options, callback),
  invalidate: (client, request, options, callback) =>
    client.invalidate(InvalidateRequest.fromPartial(request), new Metadata(), options, callback),
  publish: (client, request, options, callback) =>
    client.publish(PublishRequest.fromPartial(request), new Metadata(), options, callback),
  stats: (client, _request, options, callback) => client.stats({ top: 0 }, new Metadata(), options, callback),
};

const clients = new Map<string, EdgeCacheClient>();

function connect(address: string): EdgeCacheClient {
  return new EdgeCacheClient(address, credentials.createInsecure(), {
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 500,
    'grpc.use_local_subchannel_pool': 1,
  });
}

function clientOf({ address, isFresh }: Question): EdgeCacheClient {
  if (isFresh) return connect(address);
  const client = clients.get(address) ?? connect(address);
  clients.set(address, client);
  return client;
}

function answer(question: Question): void {
  const ask = METHODS[question.method];
  const client = clientOf(question);
  const startedAt = performance.now();
  const options = { deadline: Date.now() + question.timeoutMs };
  ask?.(client, question.request, options, (error, response) => {
    if (question.isFresh) closeLater(client);
    const elapsedMs = performance.now() - startedAt;
    const result = error === null ? { response } : { error: { code: error.code, details: error.details } };
    process.stdout.write(`${JSON.stringify({ id: question.id, elapsedMs, ...result }, plain)}\n`);
  });
}

/** Within its own callback a client may not be closed. */
function closeLater(client: Client): void {
  setImmediate(() => client.close());
}

function plain(this: unknown, _name: string, value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (isBytes(value)) return Buffer.from(value.data).toString('utf8');
  return value;
}

/** A Buffer, after its own toJSON. */
function isBytes(value: unknown): value is { data: number[] } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'type' in value &&
    value.type === 'Buffer' &&
    'data' in value
  );
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const question: Question = JSON.parse(line, (name, value) =>
    name === 'value' ? Buffer.from(value) : value,
  );
  answer(question);
});
process.stdout.write('{"id":0}\n');
