import type { IncomingMessage, ServerResponse } from 'node:http';

/** Serves everything below a path by itself: with headers, parameters and streams that a plain page has no need of. */
export interface HttpMount {
  /** Without a slash at its end. */
  readonly path: string;
  serve(request: IncomingMessage, url: URL, response: ServerResponse): Promise<void>;
}

export function isBelow({ path }: HttpMount, { pathname }: URL): boolean {
  return pathname === path || pathname.startsWith(`${path}/`);
}
