import { setTimeout as delay } from 'node:timers/promises';

const STEP_MS = 10;
const STEP_MAX_MS = 100;

/** Pauses that grow, each no longer than what is advised; they never end. */
export function* pauses(random: () => number): Generator<(adviseMs: number) => Promise<void>, never> {
  for (let step = STEP_MS; ; step = Math.min(STEP_MAX_MS, step * 2)) {
    yield async (adviseMs) => {
      await delay(Math.min(adviseMs || step, step) * (0.5 + random()));
    };
  }
}

/** What a promise brings, or a failure once it has taken too long; it may go on unheard. */
export async function within<T>(ms: number, promise: Promise<T>, failure: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(failure()), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * What a load brings; where it is slow or fails, what there is instead.
 * @param softMs how long to wait before looking for something else; undefined: as long as it takes.
 * @param instead gives nothing where there is nothing: then the load alone decides.
 */
export async function orStale<T>(
  load: Promise<T>,
  softMs: number | undefined,
  instead: (why: 'slow' | 'failed') => { readonly value: T } | undefined,
): Promise<T> {
  const slow = softMs !== undefined && (await isSlow(load, softMs));
  const meanwhile = slow ? instead('slow') : undefined;
  if (meanwhile !== undefined) {
    // It goes on, and its failure is nobody's.
    load.catch(() => undefined);
    return meanwhile.value;
  }
  try {
    return await load;
  } catch (error) {
    const stale = instead('failed');
    if (stale === undefined) throw error;
    return stale.value;
  }
}

async function isSlow(work: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(true), ms);
  });
  const done = () => false;
  const result = await Promise.race([work.then(done, done), late]);
  clearTimeout(timer);
  return result;
}
