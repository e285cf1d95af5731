import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';

export interface HealthChecks {
  /** Why this process should be killed; undefined: it is well. */
  readonly unhealthy: () => string | undefined;
  /** Why it is not ready; undefined: it is. */
  readonly notReady: () => string | undefined;
}

/** /healthz, /readyz and /metrics. */
export class HealthServer {
  readonly #server: Server;

  constructor(checks: HealthChecks, registry: Registry) {
    this.#server = createServer((request, response) => {
      if (request.url === '/healthz') answer(response, checks.unhealthy());
      else if (request.url === '/readyz') answer(response, checks.notReady());
      else if (request.url === '/metrics') void sendMetrics(response, registry);
      else response.writeHead(404).end('try /healthz, /readyz or /metrics\n');
    });
  }

  /** Resolves with the port. */
  async listen(port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

function answer(response: ServerResponse, problem: string | undefined): void {
  if (problem === undefined) response.writeHead(200).end('ok\n');
  else response.writeHead(503).end(`${problem}\n`);
}

async function sendMetrics(response: ServerResponse, registry: Registry): Promise<void> {
  try {
    const text = await registry.metrics();
    response.writeHead(200, { 'content-type': registry.contentType }).end(text);
  } catch (error) {
    response.writeHead(500).end(`${String(error)}\n`);
  }
}
