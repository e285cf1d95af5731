import type { ServerResponse } from 'node:http';
import type { EventSink } from './event-reader.ts';
import { SECURITY_HEADERS } from './headers.ts';
import { type LiveEvents, MOST_READERS } from './live-events.ts';
import { UiError } from './reply.ts';

/** What one who is dropped has for reading why. */
const LAST_WORD_MS = 2_000;

/**
 * Serves the changes that the agent applies, as they pass.
 * @param isStill whether the reader may go on, asked again and again
 * @throws UiError where too many look on already
 */
export function streamEvents(live: LiveEvents, response: ServerResponse, isStill: () => boolean): void {
  if (live.readers >= MOST_READERS)
    throw new UiError(503, `${MOST_READERS} pages look on already; close one, or use edgecache watch`);
  response.writeHead(200, {
    ...SECURITY_HEADERS,
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    // What a proxy would keep together is of no use any more.
    'x-accel-buffering': 'no',
  });
  if (response.req.method === 'HEAD') {
    response.end();
    return;
  }
  const sink: EventSink = {
    write: (text) => response.write(text),
    end: (text) => {
      response.end(text);
      setTimeout(() => response.destroy(), LAST_WORD_MS).unref();
    },
  };
  const reader = live.read(sink, isStill);
  if (reader === undefined) return;
  response.on('drain', () => reader.drained());
  response.on('close', () => live.remove(reader));
}
