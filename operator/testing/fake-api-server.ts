import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent } from 'undici';
import { KubeClient } from '../kube/client.ts';
import type { KubeObject } from '../kube/object.ts';

/** How a request for a list or a watch is answered, where not as it should be. */
export type Misbehaviour =
  | { readonly kind: 'status'; readonly status: number; readonly retryAfterSeconds?: number }
  /** A watch that ends with an ERROR event. */
  | { readonly kind: 'error-event'; readonly code: number }
  /** A watch that is cut in the middle of a line. */
  | { readonly kind: 'cut' }
  /** A watch that says nothing, for ever. */
  | { readonly kind: 'silence' };

interface Watcher {
  readonly response: ServerResponse;
  readonly isSilent: boolean;
}

/** One kind of object with lists in pages and watches, that can be told to misbehave. */
export class FakeApiServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #agent = new Agent();
  readonly #objects = new Map<string, KubeObject>();
  readonly #history: { version: number; line: string }[] = [];
  readonly #watchers = new Set<Watcher>();
  readonly #misbehaviours = { list: [] as Misbehaviour[], watch: [] as Misbehaviour[] };
  readonly requests: {
    readonly kind: 'list' | 'watch';
    readonly query: URLSearchParams;
    readonly at: number;
  }[] = [];
  #version = 100;
  #oldest = 0;

  constructor() {
    this.#server = createServer((request, response) => this.#serve(request, response));
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get version(): string {
    return String(this.#version);
  }

  get watcherCount(): number {
    return this.#watchers.size;
  }

  client(): KubeClient {
    const { port } = this.#server.address() as AddressInfo;
    return new KubeClient({
      userAgent: 'test',
      credentials: {
        server: `http://127.0.0.1:${port}`,
        current: () => Promise.resolve({ headers: {}, dispatcher: this.#agent }),
        refresh: () => undefined,
      },
    });
  }

  /** The next lists or watches are answered so, one after the other. */
  misbehave(on: 'list' | 'watch', ...how: Misbehaviour[]): void {
    this.#misbehaviours[on].push(...how);
  }

  put(name: string, labels: Record<string, string> = {}): void {
    const type = this.#objects.has(name) ? 'MODIFIED' : 'ADDED';
    this.#version += 1;
    const metadata = {
      name,
      namespace: 'default',
      uid: `uid-${name}`,
      resourceVersion: String(this.#version),
      labels,
    };
    this.#objects.set(name, { metadata });
    this.#tell(type, { metadata });
  }

  delete(name: string): void {
    const object = this.#objects.get(name);
    if (object === undefined) return;
    this.#objects.delete(name);
    this.#version += 1;
    this.#tell('DELETED', { metadata: { ...object.metadata, resourceVersion: String(this.#version) } });
  }

  /** Says the last event again, as a real one does after some reconnects. */
  repeatLast(): void {
    const last = this.#history.at(-1);
    if (last !== undefined) for (const watcher of this.#watchers) watcher.response.write(last.line);
  }

  bookmark(): void {
    this.#version += 1;
    this.#write(eventLine('BOOKMARK', { metadata: { name: '', resourceVersion: String(this.#version) } }));
  }

  /** Forgets its history: watches from an earlier version get 410. */
  compact(): void {
    this.#oldest = this.#version;
    this.#history.length = 0;
  }

  /** Cuts all watches, in the middle of a line. */
  cutWatches(): void {
    for (const { response } of this.#watchers) {
      response.write('{"type":"MODI');
      response.destroy();
    }
  }

  names(): string[] {
    return [...this.#objects.keys()].sort();
  }

  versionOf(name: string): string | undefined {
    return this.#objects.get(name)?.metadata.resourceVersion;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await this.#agent.destroy();
  }

  #tell(type: string, object: KubeObject): void {
    const line = eventLine(type, object);
    this.#history.push({ version: this.#version, line });
    this.#write(line);
  }

  #write(line: string): void {
    for (const watcher of this.#watchers) if (!watcher.isSilent) watcher.response.write(line);
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const query = new URL(request.url ?? '/', 'http://fake').searchParams;
    const kind = query.get('watch') === 'true' ? 'watch' : 'list';
    this.requests.push({ kind, query, at: performance.now() });
    const how = this.#misbehaviours[kind].shift();
    if (how?.kind === 'status') {
      const headers =
        how.retryAfterSeconds === undefined ? {} : { 'retry-after': String(how.retryAfterSeconds) };
      response.writeHead(how.status, headers).end(JSON.stringify({ reason: 'Told', message: 'as told' }));
    } else if (kind === 'list') this.#list(query, response);
    else this.#watch(Number(query.get('resourceVersion')), response, how);
  }

  #list(query: URLSearchParams, response: ServerResponse): void {
    const all = this.names();
    const from = Number(query.get('continue') ?? 0);
    const limit = Number(query.get('limit') ?? all.length);
    const items = all.slice(from, from + limit).map((name) => this.#objects.get(name));
    const next = from + limit < all.length ? String(from + limit) : '';
    const metadata = { resourceVersion: String(this.#version), continue: next };
    response.writeHead(200).end(JSON.stringify({ metadata, items }));
  }

  #watch(version: number, response: ServerResponse, how: Misbehaviour | undefined): void {
    response.writeHead(200);
    response.flushHeaders();
    if (how?.kind === 'error-event' || version < this.#oldest) {
      const code = how?.kind === 'error-event' ? how.code : 410;
      response.end(
        `${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code, message: 'as told' } })}\n`,
      );
      return;
    }
    if (how?.kind === 'cut') {
      response.write('{"type":"ADD', () => response.destroy());
      return;
    }
    const watcher = { response, isSilent: how?.kind === 'silence' };
    this.#watchers.add(watcher);
    response.on('close', () => this.#watchers.delete(watcher));
    if (watcher.isSilent) return;
    for (const event of this.#history) if (event.version > version) response.write(event.line);
  }
}

function eventLine(type: string, object: KubeObject): string {
  return `${JSON.stringify({ type, object })}\n`;
}
