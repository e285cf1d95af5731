/**
 * Runs inside a pod of the cluster, in the agent's image: asks agents what a line on stdin says, and writes the answer
 * as a line. Given to Node as text, two folders below the sources in the image, so that the import below holds there too.
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { connect as connectTls } from 'node:tls';
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
  /** File with what is trusted; left out: no TLS. */
  readonly caFile?: string;
  /** File with a token that is shown. */
  readonly tokenFile?: string;
}

type Callback = (error: { code: number; details: string } | null, response: unknown) => void;
type Options = { deadline: number };
type Ask = (
  client: EdgeCacheClient,
  request: object,
  metadata: Metadata,
  options: Options,
  callback: Callback,
) => unknown;

const METHODS: Readonly<Record<string, Ask>> = {
  get: (client, request, metadata, options, callback) =>
    client.get(GetRequest.fromPartial(request), metadata, options, callback),
  put: (client, request, metadata, options, callback) =>
    client.put(PutRequest.fromPartial(request), metadata, options, callback),
  invalidate: (client, request, metadata, options, callback) =>
    client.invalidate(InvalidateRequest.fromPartial(request), metadata, options, callback),
  publish: (client, request, metadata, options, callback) =>
    client.publish(PublishRequest.fromPartial(request), metadata, options, callback),
  stats: (client, _request, metadata, options, callback) =>
    client.stats({ top: 0 }, metadata, options, callback),
};

const clients = new Map<string, EdgeCacheClient>();

function connect({ address, caFile }: Question): EdgeCacheClient {
  const trust =
    caFile === undefined ? credentials.createInsecure() : credentials.createSsl(readFileSync(caFile));
  return new EdgeCacheClient(address, trust, {
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 500,
    'grpc.use_local_subchannel_pool': 1,
  });
}

function clientOf(question: Question): EdgeCacheClient {
  if (question.isFresh) return connect(question);
  const name = `${question.address} ${question.caFile}`;
  const client = clients.get(name) ?? connect(question);
  clients.set(name, client);
  return client;
}

function metadataOf({ tokenFile }: Question): Metadata {
  const metadata = new Metadata();
  if (tokenFile !== undefined)
    metadata.set('authorization', `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`);
  return metadata;
}

/** Answers with the serial number of the certificate that is shown at an address, whoever made it. */
function showCertificate({ id, address }: Question): void {
  const colon = address.lastIndexOf(':');
  const [host, port] = [address.slice(0, colon), Number(address.slice(colon + 1))];
  const tell = (result: object) => process.stdout.write(`${JSON.stringify({ id, ...result })}\n`);
  const socket = connectTls({
    host,
    port,
    servername: host,
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
  });
  socket.once('secureConnect', () => {
    tell({ response: { serial: socket.getPeerX509Certificate()?.serialNumber ?? '' } });
    socket.destroy();
  });
  socket.once('error', ({ message }) => tell({ error: { code: 14, details: message } }));
}

function answer(question: Question): void {
  if (question.method === 'certificate') {
    showCertificate(question);
    return;
  }
  const ask = METHODS[question.method];
  const client = clientOf(question);
  const startedAt = performance.now();
  const options = { deadline: Date.now() + question.timeoutMs };
  ask?.(client, question.request, metadataOf(question), options, (error, response) => {
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
