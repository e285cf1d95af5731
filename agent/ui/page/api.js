// @ts-check

/** The agent is on this network or behind a port-forward: what takes longer is not coming. */
const TIMEOUT_MS = 5_000;
/** For as long as the tab is open, and for no other page. */
const TOKEN = 'edgecache-token';

/** @param {string} token */
export function useToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

/**
 * @param {string} accept
 * @returns {Record<string, string>}
 */
function headersFor(accept) {
  const token = sessionStorage.getItem(TOKEN);
  return token === null ? { accept } : { accept, authorization: `Bearer ${token}` };
}

/** What the agent refused, with its words. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
  }
}

/**
 * Asks the agent. @throws ApiError where it refuses; others where it does not answer.
 * @param {string} path below api/
 * @returns {Promise<any>} what the endpoint of that name gives: see agent/ui/data.ts
 */
export async function ask(path) {
  const response = await fetch(`api/${path}`, {
    signal: AbortSignal.timeout(TIMEOUT_MS),
    headers: headersFor('application/json'),
  });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

/**
 * Listens to a stream of Server-Sent Events until it ends. Not by EventSource, which takes no headers and does not say why it
 * was refused. @throws ApiError where the agent refuses; others where it falls silent.
 * @param {string} path below api/
 * @param {number} silenceMs after so much of it the connection is taken for broken
 * @param {(name: string, data: any) => void} receive
 */
export async function listen(path, silenceMs, receive) {
  const control = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => control.abort(new Error('no sign of life')), silenceMs);
  };
  heard();
  try {
    const { signal } = control;
    const response = await fetch(`api/${path}`, { signal, headers: headersFor('text/event-stream') });
    if (!response.ok || response.body === null) throw await refusal(response);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      const messages = (text + value).split('\n\n');
      text = messages.pop() ?? '';
      for (const message of messages) deliver(message, receive);
    }
  } finally {
    clearTimeout(timer);
    control.abort();
  }
}

/**
 * @param {string} message
 * @param {(name: string, data: any) => void} receive
 */
function deliver(message, receive) {
  const [event = '', data = ''] = message.split('\n');
  receive(event.slice('event: '.length), JSON.parse(data.slice('data: '.length)));
}

/** @param {Response} response */
async function refusal(response) {
  const body = await response.json().catch(() => ({}));
  return new ApiError(response.status, String(body.error ?? `answered with status ${response.status}`));
}
