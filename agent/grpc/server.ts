import { fileURLToPath } from 'node:url';
import {
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import type { Logger } from 'pino';
import type { PortLimits } from '../../api/port-limits.ts';
import type {
  ExplainRequest,
  ExplainResponse,
  StatsRequest,
  StatsResponse,
} from '../../proto/gen/edgecache/v1/edgecache.ts';
import {
  type BatchGetRequest,
  type BatchGetResponse,
  type EdgeCacheServer,
  EdgeCacheService,
  type FollowRequest,
  type WatchRequest,
  type WatchResponse,
} from '../../proto/gen/edgecache/v1/edgecache.ts';
import { type PartAnswers, refused } from '../cache/answer.ts';
import { messageOf } from '../errors.ts';
import type { Caller, CallGuard } from '../guard/call-guard.ts';
import type { CallDurations } from '../metrics/call-durations.ts';
import type { Service } from '../service.ts';
import type { AgentTracing } from '../tracing/agent-tracing.ts';
import type { Watchers } from '../watch/watchers.ts';
import { encodeBatch } from './batch-encoder.ts';
import { Connections } from './connections.ts';
import { listen } from './listen.ts';
import { LookupStream, type LookupStreamOptions } from './lookup-stream.ts';
import { codeOf, statusName, toRefusal, toServiceError } from './status.ts';
import { Turns } from './turns.ts';
import { serveFollow, serveWatch } from './watch-stream.ts';

export interface GrpcServerOptions {
  /** One or more, separated by commas. */
  readonly address: string;
  readonly nodeId: string;
  /** Of this process: another one of the same node has another. */
  readonly agentId: string;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly random: () => number;
  readonly limits: PortLimits;
  /** Counts calls and writes them down, where that is wanted. */
  readonly guard?: CallGuard | undefined;
  readonly service: Service;
  readonly watchers: Watchers;
  readonly stats: (request: StatsRequest) => StatsResponse;
  /** Undefined: nothing is traced. */
  readonly tracing?: AgentTracing | undefined;
  /** Takes down how long calls took. */
  readonly calls?: CallDurations | undefined;
  readonly explain: (request: ExplainRequest) => Promise<ExplainResponse>;
  readonly log: Logger;
}

/** Answers say which node gave them, so that locality can be seen. */
const NODE_METADATA = 'edgecache-node';
const AGENT_METADATA = 'edgecache-agent';
/** The contract, with an encoder of its own where values are many. */
const SERVICE = {
  ...EdgeCacheService,
  lookup: { ...EdgeCacheService.lookup, responseSerialize: encodeBatch },
  batchGet: { ...EdgeCacheService.batchGet, responseSerialize: encodeBatch },
};
/** Longest that Lookup streams may keep unary calls and events waiting. */
const TURNS_MS = 2;
const SERVICE_NAME = 'edgecache.v1.EdgeCache';
/** Calls that last for as long as their client likes. */
const STREAMING_PATHS: ReadonlySet<string> = new Set([
  EdgeCacheService.lookup.path,
  EdgeCacheService.watch.path,
  EdgeCacheService.follow.path,
  '/grpc.health.v1.Health/Watch',
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
  '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo',
]);
const SWEEP_MS = 1_000;

/** The agent's gRPC port. */
export class GrpcServer {
  readonly #options: GrpcServerOptions;
  readonly #server: Server;
  readonly #health = new HealthImplementation({ '': 'NOT_SERVING', [SERVICE_NAME]: 'NOT_SERVING' });
  readonly #metadata = new Metadata();
  readonly #turns: Turns;
  readonly #lookups = new Set<LookupStream>();
  readonly connections: Connections;
  #sweeper: NodeJS.Timeout | undefined;
  /** How Lookup streams take down their batches, where anybody wants to know. */
  readonly #recording: Pick<LookupStreamOptions, 'recording'>;

  constructor(options: GrpcServerOptions) {
    this.#options = options;
    const { limits } = options;
    this.#metadata.set(NODE_METADATA, options.nodeId);
    this.#metadata.set(AGENT_METADATA, options.agentId);
    const recorder = options.calls?.recorder('Lookup');
    this.#recording = recorder === undefined ? {} : { recording: { recorder, now: options.now } };
    this.#turns = new Turns({ budgetMs: TURNS_MS, now: options.now, schedule: (run) => setImmediate(run) });
    this.#server = new Server({
      'grpc.max_receive_message_length': limits.maxMessageBytes,
      'grpc.max_send_message_length': -1,
      'grpc.max_concurrent_streams': limits.maxStreamsPerConnection,
      'grpc.keepalive_time_ms': 30_000,
      // Nobody can read it, and it costs something for each call.
      'grpc.enable_channelz': 0,
    });
    this.connections = new Connections({
      maxConnections: limits.maxConnections,
      maxAgeMs: limits.maxConnectionAgeSeconds * 1000,
      streamingPaths: STREAMING_PATHS,
      now: options.now,
      random: options.random,
    });
    const calls = this.#implementation();
    this.#server.addService(SERVICE, options.tracing?.serve(calls) ?? calls);
    this.#health.addToServer(this.#server);
    reflection().addToServer(this.#server);
  }

  /** @returns the TCP port. @throws AgentError EC_LISTEN_FAILED */
  async listen(credentials = ServerCredentials.createInsecure()): Promise<number> {
    const port = await listen(this.#server, this.#options.address, credentials);
    this.connections.watch(this.#server);
    this.#sweeper = setInterval(() => this.connections.sweep(), SWEEP_MS);
    return port;
  }

  setServing(serving: boolean): void {
    const state = serving ? 'SERVING' : 'NOT_SERVING';
    this.#health.setStatus('', state);
    this.#health.setStatus(SERVICE_NAME, state);
  }

  /** Lets calls in flight end, for so long at most. */
  async stop(graceMs: number): Promise<void> {
    this.setServing(false);
    clearInterval(this.#sweeper);
    // A stream ends when its client ends it, which may be never.
    for (const stream of this.#lookups) stream.drain();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#server.forceShutdown();
        resolve();
      }, graceMs);
      this.#server.tryShutdown(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #implementation(): EdgeCacheServer {
    const { service, stats, explain } = this.#options;
    return {
      get: this.#unary('Get', (request) => service.get(request)),
      batchGet: this.#unary('BatchGet', (request) => {
        const items = service.getMany(request.items, request);
        const respond = (answers: BatchGetResponse['items']): BatchGetResponse => ({
          id: request.id,
          items: answers,
          places: [],
          refusal: undefined,
        });
        return Array.isArray(items) ? respond(items) : items.then(respond);
      }),
      put: this.#unary('Put', (request) => service.put(request)),
      invalidate: this.#unary('Invalidate', (request) => service.invalidate(request)),
      publish: this.#unary('Publish', (request) => service.publish(request)),
      fill: this.#unary('Fill', (request) => service.fill(request)),
      release: this.#unary('Release', (request) => service.release(request)),
      stats: this.#unary('Stats', (request) => stats(request)),
      explain: this.#unary('Explain', (request) => explain(request)),
      lookup: (call) => this.#lookup(call),
      watch: (call) => this.#watch(call),
      follow: (call) => this.#follow(call),
    };
  }

  #lookup(call: ServerDuplexStream<BatchGetRequest, BatchGetResponse>): void {
    const { service, log, guard } = this.#options;
    call.sendMetadata(this.#metadata);
    const refuse = (error: unknown) => {
      if (codeOf(error) === undefined)
        log.error({ error: messageOf(error) }, 'a lookup failed for no reason of its caller’s');
      return toRefusal(error);
    };
    const answer = ({ items, wantTags, refreshBelowMs }: BatchGetRequest): PartAnswers =>
      service.lookUp(items, { wantTags, refreshBelowMs, refuse: (error) => refused(refuse(error)) });
    const stream = new LookupStream(call, {
      turns: this.#turns,
      answer: guard === undefined ? answer : guard.batches(call, answer),
      refusal: refuse,
      ...this.#recording,
      closed: () => {
        this.#lookups.delete(stream);
        untrack();
      },
    });
    this.#lookups.add(stream);
    const untrack = this.connections.track(call.getPeer(), () => stream.drain());
  }

  #watch(call: ServerWritableStream<WatchRequest, WatchResponse>): void {
    const { watchers } = this.#options;
    call.sendMetadata(this.#metadata);
    call.on(
      'close',
      this.connections.track(call.getPeer(), () => call.end()),
    );
    try {
      serveWatch(call, watchers, (names) => this.#open('Watch', call, names));
    } catch (error) {
      call.emit('error', toServiceError(error));
    }
  }

  #follow(call: ServerDuplexStream<FollowRequest, WatchResponse>): void {
    const { watchers } = this.#options;
    call.sendMetadata(this.#metadata);
    call.on(
      'close',
      this.connections.track(call.getPeer(), () => call.end()),
    );
    serveFollow(
      call,
      watchers,
      (names) => this.#open('Follow', call, names),
      (error) => call.emit('error', toServiceError(error)),
    );
  }

  /** @throws what refuses a stream. */
  #open(method: string, call: Caller, namespaces: readonly string[]): void {
    const { service, guard } = this.#options;
    const check = (): void => service.checkNamespaces(namespaces);
    if (guard === undefined) check();
    else guard.opened(method, call, namespaces, check);
  }

  #unary<Request extends object, Response>(
    method: string,
    answer: (request: Request) => Response | Promise<Response>,
  ): handleUnaryCall<Request, Response> {
    const metadata = this.#metadata;
    const { now, calls, guard } = this.#options;
    const recorder = calls?.recorder(method);
    const guarded = guard?.unary(method, answer);
    const fail = (error: unknown, callback: sendUnaryData<Response>, since: number) => {
      recorder?.failed(statusName(error), now() - since);
      this.#fail(error, callback);
    };
    return (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>) => {
      const since = recorder === undefined ? 0 : now();
      call.sendMetadata(metadata);
      try {
        const response = guarded === undefined ? answer(call.request) : guarded(call.request, call);
        if (!(response instanceof Promise)) {
          recorder?.answered(now() - since);
          callback(null, response);
          return;
        }
        response.then(
          (value) => {
            recorder?.answered(now() - since);
            callback(null, value);
          },
          (error: unknown) => fail(error, callback, since),
        );
      } catch (error) {
        fail(error, callback, since);
      }
    };
  }

  #fail<Response>(error: unknown, callback: sendUnaryData<Response>): void {
    if (codeOf(error) === undefined)
      this.#options.log.error({ error: messageOf(error) }, 'a call failed for no reason of its caller’s');
    callback(toServiceError(error));
  }
}

function reflection(): ReflectionService {
  const root = fileURLToPath(new URL('../../proto', import.meta.url));
  return new ReflectionService(loadSync('edgecache/v1/edgecache.proto', { includeDirs: [root] }));
}
