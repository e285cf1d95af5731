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
import { refused } from '../cache/answer.ts';
import { messageOf } from '../errors.ts';
import type { CallMeter, MeteredCall } from '../guard/call-meter.ts';
import type { CallDurations } from '../metrics/call-durations.ts';
import type { Caller } from '../security/access-rules.ts';
import type { PortGuard } from '../security/port-guard.ts';
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
  readonly meter?: CallMeter | undefined;
  readonly service: Service;
  readonly watchers: Watchers;
  readonly stats: (request: StatsRequest) => StatsResponse;
  /** Undefined: everybody may do everything. */
  readonly guard?: PortGuard | undefined;
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
      ...(options.guard === undefined ? {} : { interceptors: [options.guard.intercept] }),
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
    this.connections.stop();
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
      get: this.#unary('Get', (request, caller) => service.get(request, caller)),
      batchGet: this.#unary('BatchGet', (request, caller) => {
        const items = service.getMany(request.items, caller === undefined ? request : { ...request, caller });
        const respond = (answers: BatchGetResponse['items']): BatchGetResponse => ({
          id: request.id,
          items: answers,
          places: [],
          refusal: undefined,
        });
        return Array.isArray(items) ? respond(items) : items.then(respond);
      }),
      put: this.#unary('Put', (request, caller) => service.put(request, caller)),
      invalidate: this.#unary('Invalidate', (request, caller) => service.invalidate(request, caller)),
      publish: this.#unary('Publish', (request, caller) => service.publish(request, caller)),
      fill: this.#unary('Fill', (request, caller) => service.fill(request, caller)),
      release: this.#unary('Release', (request, caller) => service.release(request, caller)),
      stats: this.#unary('Stats', (request, caller) => {
        caller?.checkAdmin('Stats');
        return stats(request);
      }),
      explain: this.#unary('Explain', (request, caller) => {
        caller?.check('read', request.namespace);
        return explain(request);
      }),
      lookup: (call) => this.#lookup(call),
      watch: (call) => this.#watch(call),
      follow: (call) => this.#follow(call),
    };
  }

  #lookup(call: ServerDuplexStream<BatchGetRequest, BatchGetResponse>): void {
    const { service, log, guard, meter, tracing } = this.#options;
    const caller = guard?.callerOf(call.metadata);
    call.sendMetadata(this.#metadata);
    const refuse = (error: unknown) => {
      if (codeOf(error) === undefined)
        log.error({ error: messageOf(error) }, 'a lookup failed for no reason of its caller’s');
      return toRefusal(error);
    };
    const answer: LookupStreamOptions['answer'] = ({ items, wantTags, refreshBelowMs }) =>
      service.lookUp(items, {
        wantTags,
        refreshBelowMs,
        caller,
        refuse: (error) => refused(refuse(error)),
      });
    const traced = tracing?.lookups(call.metadata, answer) ?? answer;
    const stream = new LookupStream(call, {
      turns: this.#turns,
      answer: meter === undefined ? traced : meter.batches(call, traced),
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
    const { watchers, guard } = this.#options;
    const caller = guard?.callerOf(call.metadata);
    call.sendMetadata(this.#metadata);
    call.on(
      'close',
      this.connections.track(call.getPeer(), () => call.end()),
    );
    try {
      serveWatch(call, watchers, (names) => this.#open('Watch', call, names, caller));
    } catch (error) {
      call.emit('error', toServiceError(error));
    }
  }

  #follow(call: ServerDuplexStream<FollowRequest, WatchResponse>): void {
    const { watchers, guard } = this.#options;
    const caller = guard?.callerOf(call.metadata);
    call.sendMetadata(this.#metadata);
    call.on(
      'close',
      this.connections.track(call.getPeer(), () => call.end()),
    );
    serveFollow(
      call,
      watchers,
      (names) => this.#open('Follow', call, names, caller),
      (error) => call.emit('error', toServiceError(error)),
    );
  }

  /** @throws what refuses a stream. */
  #open(method: string, call: MeteredCall, namespaces: readonly string[], caller: Caller | undefined): void {
    const { service, meter } = this.#options;
    const check = (): void => service.checkNamespaces(namespaces, caller);
    if (meter === undefined) check();
    else void meter.unary(method, call, { namespaces }, check);
  }

  #unary<Request extends object, Response>(
    method: string,
    answer: (request: Request, caller: Caller | undefined) => Response | Promise<Response>,
  ): handleUnaryCall<Request, Response> {
    const metadata = this.#metadata;
    const { now, calls, guard, meter } = this.#options;
    const recorder = calls?.recorder(method);
    const fail = (error: unknown, callback: sendUnaryData<Response>, since: number) => {
      recorder?.failed(statusName(error), now() - since);
      this.#fail(error, callback);
    };
    return (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>) => {
      const since = recorder === undefined ? 0 : now();
      call.sendMetadata(metadata);
      try {
        const caller = guard?.callerOf(call.metadata);
        const { request } = call;
        const response =
          meter === undefined
            ? answer(request, caller)
            : meter.unary(method, call, request, () => answer(request, caller));
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
