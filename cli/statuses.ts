import type { StatsResponse } from '../client/edge-cache-client.ts';
import { EdgeCacheError } from '../client/errors.ts';
import type { Asked } from './agents.ts';

/** Whether an agent answered, and said that whoever asks may not know. */
export function isDenied(error: Error | undefined): boolean {
  return (
    error instanceof EdgeCacheError &&
    (error.code === 'EC_CLIENT_UNAUTHENTICATED' || error.code === 'EC_CLIENT_PERMISSION_DENIED')
  );
}

/** How an agent is, as far as it says. */
export function statusOf({ value, error }: Asked<StatsResponse>): string {
  return value?.status ?? (isDenied(error) ? 'refused' : 'unreachable');
}
