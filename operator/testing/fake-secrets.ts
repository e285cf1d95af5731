import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent } from 'undici';
import { KubeClient } from '../kube/client.ts';
import type { KubeObject } from '../kube/object.ts';

/** As much of an API server as the keeping of Secrets needs: versions with conflicts, apply, and patches on trial. */
export class FakeSecrets implements AsyncDisposable {
  readonly #server: Server;
  readonly #agent = new Agent();
  /** By path. */
  readonly objects = new Map<string, KubeObject>();
  readonly requests: string[] = [];
  /** Called before the next write: somebody else is quicker. */
  beforeWrite: (() => void) | undefined;
  #version = 0;

  constructor() {
    this.#server = createServer((request, response) => {
      void this.#answer(request).then(([status, body]) => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      });
    });
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  client(): KubeClient {
    const { port } = this.#server.address() as AddressInfo;
    const server = `http://127.0.0.1:${port}`;
    const current = () => Promise.resolve({ headers: {}, dispatcher: this.#agent });
    return new KubeClient({
      userAgent: 'test',
      credentials: { server, current, refresh: () => undefined },
    });
  }

  put(path: string, object: KubeObject): KubeObject {
    this.#version += 1;
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } };
    this.objects.set(path, stored);
    return stored;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.close();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #answer(request: IncomingMessage): Promise<[number, object]> {
    const { pathname: path, searchParams } = new URL(request.url ?? '/', 'http://api');
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    this.requests.push(`${request.method} ${path}`);
    const isWrite = request.method !== 'GET' && searchParams.get('dryRun') === null;
    if (isWrite) this.beforeWrite?.();
    if (isWrite) this.beforeWrite = undefined;
    const found = this.objects.get(path);
    if (!isWrite) return found === undefined ? [404, { reason: 'NotFound' }] : [200, found];
    const object = JSON.parse(text) as KubeObject;
    if (request.method === 'POST') return this.#create(`${path}/${object.metadata.name}`, object);
    const { resourceVersion } = object.metadata;
    if (resourceVersion !== undefined && resourceVersion !== found?.metadata.resourceVersion)
      return [409, { reason: 'Conflict' }];
    return [200, this.put(path, object)];
  }

  #create(path: string, object: KubeObject): [number, object] {
    return this.objects.has(path) ? [409, { reason: 'AlreadyExists' }] : [201, this.put(path, object)];
  }
}
