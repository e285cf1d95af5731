import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import type { AgentConfig } from '../../api/agent-config.ts';
import { messageOf } from '../errors.ts';
import type { HttpMount } from '../http/mount.ts';
import { statusOf, type UiAccess, type UiVisitor } from './access.ts';
import type { UiData } from './data.ts';
import { streamEvents } from './event-stream.ts';
import type { LiveEvents } from './live-events.ts';
import { PageFiles } from './page-files.ts';
import { send, sendJson, UiError } from './reply.ts';

export interface UiOptions {
  readonly config: () => Pick<AgentConfig, 'ui' | 'namespaces'>;
  readonly access: UiAccess;
  readonly data: UiData;
  readonly live: LiveEvents;
  readonly log: Logger;
}

const TEXT = { 'content-type': 'text/plain; charset=utf-8' };
const API = '/api/';

/** The page for people at /ui, and the data that it shows at /ui/api/. Nothing can be changed by it. */
export class Ui implements HttpMount {
  readonly path = '/ui';
  readonly #options: UiOptions;
  readonly #files = new PageFiles();

  constructor(options: UiOptions) {
    this.#options = options;
  }

  async serve(request: IncomingMessage, url: URL, response: ServerResponse): Promise<void> {
    if (!this.#options.config().ui.enabled)
      send(response, 404, 'the page is off at this agent (ui.enabled, CACHE_ENABLE_UI)\n', TEXT);
    else if (request.method !== 'GET' && request.method !== 'HEAD')
      send(response, 405, 'only GET\n', { ...TEXT, allow: 'GET, HEAD' });
    else if (url.pathname === this.path)
      // Relative, so that it holds behind a proxy that puts a path of its own before.
      send(response, 308, 'see ui/\n', { ...TEXT, location: 'ui/' });
    else await this.#below(request, url, response);
  }

  async #below(request: IncomingMessage, url: URL, response: ServerResponse): Promise<void> {
    const path = url.pathname.slice(this.path.length);
    if (path.startsWith(API)) await this.#api(request, path.slice(API.length), url, response);
    else this.#file(request, path.slice(1), response);
  }

  #file(request: IncomingMessage, name: string, response: ServerResponse): void {
    const file = this.#files.get(name);
    if (file === undefined) {
      send(response, 404, 'no such file; the page is at /ui/\n', TEXT);
      return;
    }
    const caching = { etag: file.tag, 'cache-control': 'no-cache' };
    if (request.headers['if-none-match'] === file.tag) send(response, 304, '', caching);
    else send(response, 200, file.bytes, { ...caching, 'content-type': file.type });
  }

  async #api(request: IncomingMessage, name: string, url: URL, response: ServerResponse): Promise<void> {
    try {
      const visitor = await this.#options.access.admit(request.headers);
      if (name === 'events') this.#stream(visitor, response);
      else sendJson(response, 200, await this.#answer(name, url.searchParams, visitor));
    } catch (error) {
      const status = statusOf(error);
      if (status === 500) this.#options.log.warn({ error: messageOf(error), name }, 'the page got no answer');
      sendJson(response, status, { error: messageOf(error) });
    }
  }

  #answer(name: string, parameters: URLSearchParams, visitor: UiVisitor): unknown {
    const { data } = this.#options;
    const key = parameters.get('key') ?? '';
    const namespace = parameters.get('namespace') ?? '';
    if (name === 'key') {
      visitor.checkRead([namespace]);
      return data.key(namespace, key);
    }
    if (name !== 'fleet' && name !== 'agent')
      throw new UiError(404, 'no such data; there are fleet, agent, events and key');
    visitor.checkStats();
    return name === 'fleet' ? data.fleet() : data.agent();
  }

  /** As it is with Watch: who looks on at everything must be allowed to read everything. */
  #stream(visitor: UiVisitor, response: ServerResponse): void {
    const names = () => this.#options.config().namespaces.map(({ name }) => name);
    visitor.checkRead(names());
    streamEvents(this.#options.live, response, () => visitor.isStill(names()));
  }
}
