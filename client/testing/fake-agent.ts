import {
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import {
  type BatchGetRequest,
  BatchGetResponse,
  ChangeResponse,
  ChangeResponse_State,
  EdgeCacheService,
  type Event,
  ExplainResponse,
  type FillRequest,
  type FillResponse,
  type FollowRequest,
  type GetRequest,
  GetResponse,
  type InvalidateRequest,
  type PutRequest,
  type ReleaseRequest,
  type ReleaseResponse,
  StatsResponse,
  type WatchResponse,
} from '../../proto/gen/edgecache/v1/edgecache.ts';

/** A call that the fake has received. */
export interface Received {
  readonly method: string;
  readonly request: unknown;
}

type Behaviour = (request: unknown) => unknown;

interface Held {
  readonly value: Buffer;
  readonly version: string;
  readonly tags: readonly string[];
  readonly absent: boolean;
}

/**
 * An agent that keeps everything in memory and fails on demand, over real gRPC: for faults that a real agent shows only
 * by luck. What it does without being told to is the contract; test/integration proves the same against real ones.
 */
export class FakeAgent {
  readonly received: Received[] = [];
  readonly #server = new Server();
  readonly #script = new Map<string, Behaviour[]>();
  readonly #entries = new Map<string, Held>();
  readonly #leases = new Map<string, string>();
  readonly #seen = new Map<string, ChangeResponse>();
  #sequence = 0;
  #port = 0;

  /** @param options.streams whether it serves Lookup and Follow; otherwise it is an agent of an older release. */
  static async start({ streams = false } = {}): Promise<FakeAgent> {
    const agent = new FakeAgent();
    agent.#server.addService(EdgeCacheService, {
      get: agent.#serve('get', (request: GetRequest) => ({ ...agent.#get(request), tags: [] })),
      batchGet: agent.#serve('batchGet', ({ id, items, refreshBelowMs }: BatchGetRequest) => ({
        id,
        items: items.map((item) => agent.#get(item, refreshBelowMs)),
        places: [],
        refusal: undefined,
      })),
      put: agent.#serve('put', (request: PutRequest) => agent.#put(request)),
      invalidate: agent.#serve('invalidate', (request: InvalidateRequest) => agent.#invalidate(request)),
      publish: agent.#serve('publish', ({ event }: { event?: Event | undefined }) => agent.#publish(event)),
      fill: agent.#serve('fill', (request: FillRequest) => agent.#fill(request)),
      release: agent.#serve('release', (request: ReleaseRequest) => agent.#release(request)),
      explain: agent.#serve('explain', () => ExplainResponse.create({ nodeId: 'fake' })),
      ...(streams ? agent.#streams() : {}),
      stats: agent.#serve('stats', () => StatsResponse.create({ nodeId: 'fake', status: 'healthy' })),
    });
    agent.#port = await new Promise((resolve, reject) => {
      agent.#server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
        if (error === null) resolve(port);
        else reject(error);
      });
    });
    return agent;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  /** What the next calls of a method do, in order, in place of the contract. */
  next(method: string, ...behaviours: Behaviour[]): void {
    const script = this.#script.get(method) ?? [];
    script.push(...behaviours);
    this.#script.set(method, script);
  }

  calls(method: string): unknown[] {
    return this.received.filter((call) => call.method === method).map(({ request }) => request);
  }

  /** The stored text of a key, past any codec. */
  stored(namespace: string, key: string): string | undefined {
    return this.#entries.get(`${namespace} ${key}`)?.value.toString();
  }

  /** Streams that clients have opened, oldest first. */
  readonly lookups: ServerDuplexStream<BatchGetRequest, BatchGetResponse>[] = [];
  readonly follows: ServerDuplexStream<FollowRequest, WatchResponse>[] = [];
  /** What followers have sent. */
  readonly followed: NonNullable<FollowRequest['kind']>[] = [];
  /** Lease that each renewal is answered with, in milliseconds; undefined: none is answered. */
  leaseMs: number | undefined = 1_000;
  /** Its process: streams and calls say it. */
  identity = 'process-1';

  /** Tells all followers something. */
  tell(kind: NonNullable<WatchResponse['kind']>): void {
    for (const stream of this.follows) if (!stream.destroyed) stream.write({ kind });
  }

  #metadata(): Metadata {
    const metadata = new Metadata();
    metadata.set('edgecache-node', 'fake');
    metadata.set('edgecache-agent', this.identity);
    return metadata;
  }

  /** Takes an entry out without telling anybody, as its end does. */
  forget(namespace: string, key: string): void {
    this.#entries.delete(`${namespace} ${key}`);
  }

  #streams() {
    return {
      lookup: (stream: ServerDuplexStream<BatchGetRequest, BatchGetResponse>) => {
        this.lookups.push(stream);
        stream.sendMetadata(this.#metadata());
        stream.on('error', () => undefined);
        stream.on('end', () => stream.end());
        stream.on('data', (request: BatchGetRequest) => void this.#lookup(stream, request));
      },
      follow: (stream: ServerDuplexStream<FollowRequest, WatchResponse>) => {
        this.follows.push(stream);
        stream.sendMetadata(this.#metadata());
        stream.on('error', () => undefined);
        stream.on('end', () => stream.end());
        stream.on('data', ({ kind }: FollowRequest) => {
          if (kind === undefined) return;
          this.followed.push(kind);
          const nonce = kind.$case === 'open' ? 0 : kind.$case === 'renew' ? kind.value.nonce : undefined;
          if (nonce === undefined || this.leaseMs === undefined) return;
          stream.write({ kind: { $case: 'lease', value: { leaseMs: this.leaseMs, nonce } } });
        });
      },
    };
  }

  async #lookup(
    stream: ServerDuplexStream<BatchGetRequest, BatchGetResponse>,
    request: BatchGetRequest,
  ): Promise<void> {
    this.received.push({ method: 'lookup', request });
    const behaviour = this.#script.get('lookup')?.shift();
    const { id, items } = request;
    const answer =
      behaviour === undefined ? { items: items.map((item) => this.#get(item)) } : await behaviour(request);
    // A script that answers with nothing keeps silent.
    if (answer !== undefined) stream.write(BatchGetResponse.create({ id, ...Object(answer) }));
  }

  #serve<Request, Response>(
    method: string,
    contract: (request: Request) => Response,
  ): handleUnaryCall<Request, Response> {
    return (call, callback) => {
      const { request } = call;
      call.sendMetadata(this.#metadata());
      this.received.push({ method, request });
      const behaviour = this.#script.get(method)?.shift();
      // A script answers in the shape of its method; the encoder refuses what is not.
      const answer = async () => (behaviour === undefined ? contract(request) : await behaviour(request));
      answer().then(
        (response) => callback(null, response as Response),
        (error: ServiceError) => callback(error),
      );
    };
  }

  /** What is left to live of everything that it holds, in milliseconds. */
  ttlMs = 30_000;

  #get({ namespace, key, wantLease }: GetRequest, refreshBelowMs = 0): GetResponse {
    const name = `${namespace} ${key}`;
    const held = this.#entries.get(name);
    if (held !== undefined) {
      const { value, version, absent } = held;
      const tags = [...held.tags];
      const { ttlMs } = this;
      const leaseToken = ttlMs < refreshBelowMs && !this.#leases.has(name) ? this.#lease(name) : '';
      return GetResponse.create({ found: true, value, version, absent, tags, ttlMs, source: 1, leaseToken });
    }
    if (!wantLease) return GetResponse.create();
    if (this.#leases.has(name)) return GetResponse.create({ retryAfterMs: 5 });
    return GetResponse.create({ leaseToken: this.#lease(name) });
  }

  #lease(name: string): string {
    const leaseToken = `lease-${++this.#sequence}`;
    this.#leases.set(name, leaseToken);
    return leaseToken;
  }

  #put({ namespace, key, value, tags, ifVersion, event }: PutRequest): ChangeResponse {
    const name = `${namespace} ${key}`;
    return this.#once(event?.eventId ?? '', (version) => {
      const standing = this.#entries.get(name)?.version ?? '0';
      if (ifVersion !== '' && ifVersion !== standing) throw failure(status.ABORTED, `it is ${standing}`);
      this.#entries.set(name, { value, version, tags, absent: false });
      this.#leases.delete(name);
    });
  }

  #invalidate({ namespace, keys, tags, eventId }: InvalidateRequest): ChangeResponse {
    return this.#once(eventId, () => this.#drop([namespace], keys, tags));
  }

  #publish(event: Event | undefined): ChangeResponse {
    if (event === undefined) throw failure(status.INVALID_ARGUMENT, 'no event');
    return this.#once(event.eventId, () => this.#drop(event.affectedNamespaces, event.keys, event.tags));
  }

  #fill({ namespace, key, value, tags, leaseToken, absent, ttlMs }: FillRequest): FillResponse {
    const name = `${namespace} ${key}`;
    if (this.#leases.get(name) !== leaseToken) return { accepted: false, version: '', ttlMs: 0 };
    this.#leases.delete(name);
    const version = this.#nextVersion();
    this.#entries.set(name, { value, version, tags, absent });
    return { accepted: true, version, ttlMs: ttlMs || 30_000 };
  }

  #release({ namespace, key, leaseToken }: ReleaseRequest): ReleaseResponse {
    const name = `${namespace} ${key}`;
    return { released: this.#leases.get(name) === leaseToken && this.#leases.delete(name) };
  }

  #drop(namespaces: readonly string[], keys: readonly string[], tags: readonly string[]): void {
    const whole = keys.length === 0 && tags.length === 0;
    const isHit = (name: string, held: Held | undefined) => {
      const [namespace = '', ...rest] = name.split(' ');
      if (!namespaces.includes(namespace)) return false;
      return whole || keys.includes(rest.join(' ')) || (held?.tags.some((tag) => tags.includes(tag)) ?? true);
    };
    for (const [name, held] of this.#entries) if (isHit(name, held)) this.#entries.delete(name);
    for (const name of this.#leases.keys()) if (isHit(name, undefined)) this.#leases.delete(name);
  }

  #once(eventId: string, change: (version: string) => void): ChangeResponse {
    const before = this.#seen.get(eventId);
    if (before !== undefined) return { ...before, state: ChangeResponse_State.STATE_DUPLICATE };
    const version = this.#nextVersion();
    change(version);
    const response = ChangeResponse.create({
      state: ChangeResponse_State.STATE_APPLIED,
      eventId,
      version,
      token: `1.0@${version}`,
    });
    this.#seen.set(eventId, response);
    return response;
  }

  #nextVersion(): string {
    return `${++this.#sequence}-0`;
  }
}

/** What a script throws. A code of the product in the trailers says that the agent itself answered. */
export function failure(code: status, message: string, productCode = ''): ServiceError {
  const metadata = new Metadata();
  if (productCode !== '') metadata.set('edgecache-code', productCode);
  return Object.assign(new Error(message), { code, details: message, metadata });
}

export function fails(code: status, message = 'as told', productCode = ''): Behaviour {
  return () => {
    throw failure(code, message, productCode);
  };
}
