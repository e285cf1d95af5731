import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AgentError } from '../errors.ts';

export interface HttpRoute {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

export interface HttpServerOptions {
  readonly address: string;
  readonly routes: Readonly<Record<string, () => HttpRoute | Promise<HttpRoute>>>;
}

/** How long a slow caller may take; scrapers and probes need milliseconds. */
const TIMEOUT_MS = 10_000;

/** The agent's port for probes, metrics and people. */
export class HttpServer {
  readonly #options: HttpServerOptions;
  readonly #server: Server;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#server = createServer(
      { requestTimeout: TIMEOUT_MS, headersTimeout: TIMEOUT_MS },
      (request, response) => {
        const path = new URL(request.url ?? '/', 'http://agent').pathname;
        void this.#answer(request.method ?? '', path, response);
      },
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

  async #answer(method: string, path: string, response: ServerResponse): Promise<void> {
    const route = this.#options.routes[path];
    let answer: HttpRoute;
    if (route === undefined) {
      const known = Object.keys(this.#options.routes).join(', ');
      answer = { status: 404, type: 'text/plain', body: `no such page; there are ${known}\n` };
    } else if (method !== 'GET' && method !== 'HEAD') {
      answer = { status: 405, type: 'text/plain', body: 'only GET\n' };
    } else {
      answer = await Promise.resolve(route()).catch(() => ({
        status: 500,
        type: 'text/plain',
        body: 'failed\n',
      }));
    }
    response.writeHead(answer.status, { 'content-type': answer.type });
    response.end(method === 'HEAD' ? undefined : answer.body);
  }
}
