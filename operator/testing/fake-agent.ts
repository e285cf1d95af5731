import {
  createServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { z } from 'zod';
import { agentConfigSchema } from '../../api/agent-config.ts';
import { configHash, isSignedReload, RELOAD_PATH, SIGNATURE_HEADER } from '../../api/reload.ts';
import { StatsResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';

const fileSchema = z.looseObject({
  l1: z.looseObject({ maxEntries: z.number().optional(), ttlSeconds: z.number() }),
  origin: z.object({ tier: z.string(), uid: z.string(), generation: z.number(), reloadKey: z.string() }),
});
export type ReceivedFile = z.infer<typeof fileSchema>;

/** The side of an agent that the operator sees: takes signed configuration and gives statistics over HTTP. */
export class FakeAgent implements AsyncDisposable {
  /** What was taken, by tier. */
  readonly files = new Map<string, ReceivedFile>();
  readonly pushes: { readonly tier: string; readonly status: number; readonly at: number }[] = [];
  /** Answers 422 with this, while it is set. */
  refusal: string | undefined;
  /** Answers 503, while it is set. */
  isBroken = false;
  isRedisConnected = true;
  /** Share of its configured size that its L1 has. */
  l1SizeShare = 1;
  statsCalls = 0;
  readonly #http: HttpServer;
  readonly #grpc: TcpServer;
  #lastHash = '';
  httpPort = 0;
  grpcPort = 0;

  /** With a certificate its gRPC port shows that, and does nothing else. */
  constructor(tls?: { readonly certificate: string; readonly key: string }) {
    this.#http = createServer((request, response) => void this.#serve(request, response));
    this.#grpc =
      tls === undefined
        ? createTcpServer((socket) => socket.destroy())
        : createTlsServer({ cert: tls.certificate, key: tls.key }, (socket) => socket.destroy());
  }

  /** On given ports, or free ones. */
  async listen(host: string, httpPort = 0, grpcPort = 0): Promise<this> {
    this.httpPort = await portOf(this.#http, host, httpPort);
    this.grpcPort = await portOf(this.#grpc, host, grpcPort);
    return this;
  }

  /** Runs by a file again that it has not been handed: what a restarted container does. */
  forgetConfig(): void {
    this.#lastHash = 'of-an-older-file';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#http.closeAllConnections();
    await new Promise<void>((resolve) => this.#http.close(() => resolve()));
    await new Promise<void>((resolve) => this.#grpc.close(() => resolve()));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url === '/statusz') {
      this.statsCalls += 1;
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(this.#stats()));
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const signature = String(request.headers[SIGNATURE_HEADER] ?? '');
    const [status, answer, tier] = this.#reload(request.url, body, signature);
    this.pushes.push({ tier, status, at: performance.now() });
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  }

  #reload(url: string | undefined, body: Buffer, signature: string): [number, object, string] {
    if (url !== RELOAD_PATH) return [404, { error: 'no such page' }, ''];
    const file = fileSchema.parse(JSON.parse(body.toString()));
    const { tier, reloadKey } = file.origin;
    if (this.isBroken) return [503, { error: 'broken' }, tier];
    if (!isSignedReload(reloadKey, body, signature)) return [401, { error: 'bad signature' }, tier];
    const parsed = agentConfigSchema.safeParse(JSON.parse(body.toString()));
    if (!parsed.success) return [422, { error: parsed.error.message }, tier];
    if (this.refusal !== undefined) return [422, { error: this.refusal }, tier];
    this.files.set(tier, file);
    this.#lastHash = configHash(body);
    return [200, { configHash: this.#lastHash }, tier];
  }

  #stats(): StatsResponse {
    return StatsResponse.fromPartial({
      nodeId: 'node',
      status: 'healthy',
      l1: { entries: 10, maxEntries: 500, hits: 850, misses: 150, sizeShare: this.l1SizeShare },
      l2: { hits: 130, misses: 20 },
      events: { propagationP99Ms: 1.2 },
      redis: { connected: this.isRedisConnected, memoryUsedMb: 42.4 },
      // Several tiers ask the same fake: only with one of them is the hash meaningful.
      configHash: this.files.size === 1 ? this.#lastHash : '',
    });
  }
}

async function portOf(server: TcpServer, host: string, port: number): Promise<number> {
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  const address = server.address();
  return address !== null && typeof address === 'object' ? address.port : 0;
}
