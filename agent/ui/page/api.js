// @ts-check

/** The agent is on this network or behind a port-forward: what takes longer is not coming. */
const TIMEOUT_MS = 5_000;

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
    headers: { accept: 'application/json' },
  });
  const body = await response.json().catch(() => ({ error: `answered with status ${response.status}` }));
  if (!response.ok) throw new ApiError(response.status, String(body.error));
  return body;
}
