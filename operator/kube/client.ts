import { type Dispatcher, request } from 'undici';
import { KubeError } from '../errors.ts';
import type { Credentials } from './credentials.ts';
import { asKubeObject, type KubeObject } from './object.ts';
import { type Place, pathOf, type Resource } from './resources.ts';

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface KubeRequest {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Query;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly accept?: string;
  readonly signal?: AbortSignal | undefined;
}

export interface KubeClientOptions {
  readonly credentials: Credentials;
  /** Sent as User-Agent, so that an audit log shows who it was. */
  readonly userAgent: string;
  /** Called once for each answer. */
  readonly onRequest?: (method: string, status: number, path: string) => void;
  /** Deadline of everything but a watch. */
  readonly timeoutMs?: number;
}

export const FIELD_MANAGER = 'edgecache-operator';
export const STATUS_FIELD_MANAGER = 'edgecache-operator-status';

/** A small client of the API server: raw JSON in and out, one connection pool, deadlines on everything. */
export class KubeClient {
  readonly #options: KubeClientOptions;
  readonly #timeoutMs: number;

  constructor(options: KubeClientOptions) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? 30_000;
  }

  /** @throws KubeError for any status but 2xx */
  async json(req: KubeRequest): Promise<unknown> {
    const deadline = AbortSignal.timeout(this.#timeoutMs);
    const signal = req.signal ? AbortSignal.any([req.signal, deadline]) : deadline;
    const answer = await this.#send({ ...req, signal });
    return await answer.body.json();
  }

  /** Lines of a stream that goes on for as long as the server likes. No deadline: the caller watches over it. */
  async lines(req: KubeRequest, onBytes: () => void): Promise<AsyncIterable<string>> {
    const answer = await this.#send(req);
    return splitLines(answer.body, onBytes);
  }

  async get(resource: Resource, place: Place, signal?: AbortSignal): Promise<KubeObject> {
    return asKubeObject(await this.json({ path: pathOf(resource, place), signal }));
  }

  async create(resource: Resource, object: KubeObject, signal?: AbortSignal): Promise<KubeObject> {
    const path = pathOf(resource, { namespace: object.metadata.namespace });
    return asKubeObject(
      await this.json({ method: 'POST', path, body: object, query: { fieldManager: FIELD_MANAGER }, signal }),
    );
  }

  /** Replaces, and fails with a conflict where the object has changed since it was read. */
  async replace(resource: Resource, object: KubeObject, signal?: AbortSignal): Promise<KubeObject> {
    const { namespace, name } = object.metadata;
    const path = pathOf(resource, { namespace, name });
    return asKubeObject(
      await this.json({ method: 'PUT', path, body: object, query: { fieldManager: FIELD_MANAGER }, signal }),
    );
  }

  async delete(resource: Resource, object: KubeObject, signal?: AbortSignal): Promise<void> {
    const { namespace, name, uid } = object.metadata;
    // The uid, so that a new object of the same name is not deleted by mistake.
    const body = { propagationPolicy: 'Background', preconditions: uid === undefined ? {} : { uid } };
    await this.json({ method: 'DELETE', path: pathOf(resource, { namespace, name }), body, signal });
  }

  async #send(req: KubeRequest): Promise<Dispatcher.ResponseData> {
    const method = req.method ?? 'GET';
    const { headers, dispatcher } = await this.#options.credentials.current();
    const url = `${this.#options.credentials.server}${req.path}${queryText(req.query)}`;
    const answer = await request(url, {
      method,
      dispatcher,
      headers: {
        ...headers,
        accept: req.accept ?? 'application/json',
        'user-agent': this.#options.userAgent,
        ...(req.body === undefined ? {} : { 'content-type': req.contentType ?? 'application/json' }),
      },
      ...(req.body === undefined ? {} : { body: JSON.stringify(req.body) }),
      ...(req.signal ? { signal: req.signal } : {}),
      // undici's own limits would cut a quiet watch; ours are the signal and the reflector's watchdog.
      bodyTimeout: 0,
      headersTimeout: this.#timeoutMs,
    });
    this.#options.onRequest?.(method, answer.statusCode, req.path);
    if (answer.statusCode < 300) return answer;
    if (answer.statusCode === 401) this.#options.credentials.refresh();
    throw await toError(`${method} ${req.path}`, answer);
  }
}

function queryText(query: Query = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) params.set(name, String(value));
  }
  const text = params.toString();
  return text === '' ? '' : `?${text}`;
}

async function toError(what: string, answer: Dispatcher.ResponseData): Promise<KubeError> {
  const text = await answer.body.text();
  const retryAfter = Number(answer.headers['retry-after']);
  const retryAfterMs = Number.isFinite(retryAfter) ? retryAfter * 1000 : undefined;
  const { reason, message } = statusOf(text);
  return new KubeError(what, answer.statusCode, reason, message, retryAfterMs);
}

function statusOf(text: string): { reason: string; message: string } {
  try {
    const { reason, message } = JSON.parse(text) as { reason?: string; message?: string };
    return { reason: reason ?? 'Unknown', message: message ?? text.slice(0, 500) };
  } catch {
    return { reason: 'Unknown', message: text.slice(0, 500) }; // a proxy's page, not the API server's Status
  }
}

async function* splitLines(body: AsyncIterable<Uint8Array>, onBytes: () => void): AsyncIterable<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    onBytes();
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) if (line !== '') yield line;
  }
}
