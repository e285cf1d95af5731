import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { isConflict, messageOf, TerminalError } from '../errors.ts';
import { splitKey } from '../kube/object.ts';
import type { WorkQueue } from '../kube/queue.ts';

export type ReconcileResult = 'success' | 'error' | 'conflict' | 'terminal';

export interface WorkersOptions {
  readonly queue: WorkQueue;
  readonly reconcile: (key: string, logger: Logger, signal: AbortSignal) => Promise<void>;
  readonly logger: Logger;
  readonly count: number;
  readonly timeoutMs: number;
  /** A look at everything now and then: a net only, the watches are what drives. */
  readonly resyncMs: number;
  readonly onResult: (result: ReconcileResult, seconds: number) => void;
}

const TERMINAL_RETRY_MS = 30_000;

/** Takes keys from the queue until it is stopped. A reconcile that has begun is finished. */
export async function runWorkers(options: WorkersOptions, signal: AbortSignal): Promise<void> {
  await Promise.all(Array.from({ length: options.count }, () => work(options, signal)));
}

async function work(options: WorkersOptions, signal: AbortSignal): Promise<void> {
  for (;;) {
    const key = await options.queue.take();
    if (key === undefined) return;
    await handle(key, options, signal).finally(() => options.queue.done(key));
  }
}

async function handle(key: string, options: WorkersOptions, signal: AbortSignal): Promise<void> {
  const { queue, reconcile, resyncMs, timeoutMs, onResult } = options;
  const logger = options.logger.child({ ...splitKey(key), reconcileId: randomUUID() });
  const startedAt = performance.now();
  let result: ReconcileResult = 'success';
  try {
    await reconcile(key, logger, AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]));
    queue.forget(key);
    queue.addAfter(key, resyncMs * (0.9 + Math.random() * 0.2));
  } catch (error) {
    result = resultOf(error);
    // Nothing tells when a person has made room for a child: look again now and then.
    if (result === 'terminal') queue.addAfter(key, Math.min(resyncMs, TERMINAL_RETRY_MS));
    else queue.addRateLimited(key);
    if (!signal.aborted) logError(logger, result, error);
  } finally {
    onResult(result, (performance.now() - startedAt) / 1000);
  }
}

function resultOf(error: unknown): ReconcileResult {
  if (error instanceof TerminalError) return 'terminal';
  return isConflict(error) ? 'conflict' : 'error';
}

function logError(logger: Logger, result: ReconcileResult, error: unknown): void {
  // A conflict is how the API server says "look again"; it is no fault.
  if (result === 'conflict') logger.debug({ error: messageOf(error) }, 'conflict; trying again');
  else logger.error({ err: error, result }, 'reconcile failed');
}
