import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { AgentError } from '../errors.ts';
import type { Declarations } from '../metrics/declarations.ts';
import { type HttpMount, isBelow } from './mount.ts';

export interface HttpRoute {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

export interface PostRequest {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface HttpServerOptions {
  readonly address: string;
  readonly routes: Readonly<Record<string, (headers: IncomingHttpHeaders) => HttpRoute | Promise<HttpRoute>>>;
  readonly posts: Readonly<Record<string, (request: PostRequest) => HttpRoute>>;
  readonly mount?: HttpMount;
}

/** How long a slow caller may take; scrapers and probes need milliseconds. */
const TIMEOUT_MS = 10_000;
/** How often Node looks for connections whose time is over; by itself it does every 30 s. */
const CHECK_MS = 1_000;
/** Probes, some scrapers and a few people; what they hold of memory is bounded by it. */
const MAX_CONNECTIONS = 128;
/** A configuration of 64 namespaces takes some 30 kB. */
const MAX_BODY_BYTES = 1024 * 1024;

/** The agent's port for probes, metrics and people. */
export class HttpServer {
  readonly #options: HttpServerOptions;
  readonly #server: Server;
  /** Connections that there was no room for. */
  refusedConnections = 0;
  /** Connections that were closed because a request did not come in time. */
  slowRequests = 0;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#server = createServer(
      { requestTimeout: TIMEOUT_MS, headersTimeout: TIMEOUT_MS, connectionsCheckingInterval: CHECK_MS },
      (request, response) => void this.#serve(request, response),
    );
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.on('drop', () => {
      this.refusedConnections += 1;
    });
    // The listener answers by itself what Node would have answered.
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') this.slowRequests += 1;
      if (error.code === 'ECONNRESET' || !socket.writable) return;
      socket.end(`HTTP/1.1 ${statusOf(error)}\r\nconnection: close\r\n\r\n`);
    });
  }

  declare(metrics: Declarations): void {
    metrics.counter(
      'http_connections_refused',
      'Connections to the HTTP port that there was no room for.',
      () => this.refusedConnections,
    );
    metrics.counter(
      'http_slow_requests',
      'Connections to the HTTP port that were closed because a request did not come in time.',
      () => this.slowRequests,
    );
  }

  /** @returns the port. @throws AgentError EC_LISTEN_FAILED */
  listen(): Promise<number> {
    const { address } = this.#options;
    const colon = address.lastIndexOf(':');
    const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error) => {
        reject(
          new AgentError(
            'EC_LISTEN_FAILED',
            `cannot listen on ${address} (CACHE_HTTP_ADDRESS): ${error.message}`,
            { cause: error },
          ),
        );
      });
      this.#server.listen(Number(address.slice(colon + 1)), host, () => {
        const bound: AddressInfo | string | null = this.#server.address();
        resolve(bound !== null && typeof bound === 'object' ? bound.port : 0);
      });
    });
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A request line may have anything in it, such as "//", of which no URL can be made.
    const url = URL.parse(request.url ?? '/', 'http://agent');
    const { mount } = this.#options;
    if (url === null) answer(request, response, plain(400, 'the path is none\n'));
    else if (mount !== undefined && isBelow(mount, url)) await serveMount(mount, request, url, response);
    else answer(request, response, await this.#route(request, url.pathname).catch(failed));
  }
  async #route(request: IncomingMessage, path: string): Promise<HttpRoute> {
    const { method, headers } = request;
    const { routes, posts } = this.#options;
    const post = posts[path];
    if (post !== undefined) {
      if (method !== 'POST') return plain(405, 'only POST\n');
      const body = await bodyOf(request);
      return body === undefined
        ? plain(413, `must have at most ${MAX_BODY_BYTES} bytes\n`)
        : post({ headers, body });
    }
    const route = routes[path];
    if (route === undefined) return plain(404, `no such page; there are ${this.#pages().join(', ')}\n`);
    if (method !== 'GET' && method !== 'HEAD') return plain(405, 'only GET\n');
    return route(headers);
  }

  #pages(): string[] {
    const { routes, mount } = this.#options;
    return [...Object.keys(routes), ...(mount === undefined ? [] : [mount.path])];
  }
}

async function serveMount(
  mount: HttpMount,
  request: IncomingMessage,
  url: URL,
  response: ServerResponse,
): Promise<void> {
  await mount.serve(request, url, response).catch(() => {
    if (response.headersSent) response.destroy();
    else answer(request, response, failed());
  });
}

function answer(request: IncomingMessage, response: ServerResponse, { status, type, body }: HttpRoute): void {
  response.writeHead(status, { 'content-type': type });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function failed(): HttpRoute {
  return plain(500, 'failed\n');
}

function statusOf({ code }: NodeJS.ErrnoException): string {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return '408 Request Timeout';
  return code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request';
}

function plain(status: number, body: string): HttpRoute {
  return { status, type: 'text/plain', body };
}

/** Nothing where it is too long: what is left of it is thrown away with the connection. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > MAX_BODY_BYTES) return undefined;
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}
