import {
  type ChangeResponse,
  ChangeResponse_State,
  type GetResponse,
} from '../proto/gen/edgecache/v1/edgecache.ts';
import type { Codec } from './codec.ts';
import type { NearCache } from './near/near-cache.ts';
import type { NearEntry } from './near/near-store.ts';
import type { Changed, ConfirmOptions, EventInput, Found } from './options.ts';

const DEFAULT_CONFIRM_MS = 5_000;

export function confirmMs(confirm: boolean | number): number {
  return typeof confirm === 'number' ? confirm : DEFAULT_CONFIRM_MS;
}

export function toConfirm({ confirm = false }: ConfirmOptions) {
  return confirm === false ? undefined : { wait: true, timeoutMs: confirmMs(confirm) };
}

export function toEvent(
  { type, resourceId = '', data, namespaces = [], keys = [], tags = [] }: EventInput,
  eventId: string,
) {
  return {
    eventId,
    eventType: type,
    resourceId,
    dataJson: data === undefined ? '' : JSON.stringify(data),
    timestamp: 0,
    sourceNode: '',
    affectedNamespaces: [...namespaces],
    keys: [...keys],
    tags: [...tags],
  };
}

export function toFound<T>(answer: GetResponse, codec: Codec<T>, node: string): Found<T> {
  const { version, ttlMs, stale } = answer;
  if (answer.degraded) return { status: 'degraded', node };
  if (!answer.found) return { status: 'miss', node };
  if (answer.absent) return { status: 'absent', version, ttlMs, node };
  const source = answer.source === 1 ? 'l1' : 'l2';
  return { status: 'hit', value: codec.decode(answer.value), version, ttlMs, source, stale, node };
}

export function toChanged({ state, eventId, token, version, confirmation }: ChangeResponse): Changed {
  const names = {
    [ChangeResponse_State.STATE_DUPLICATE]: 'duplicate',
    [ChangeResponse_State.STATE_QUEUED]: 'queued',
  } as const;
  const name = state === 2 || state === 3 ? names[state] : 'applied';
  return { state: name, eventId, token, version, ...(confirmation === undefined ? {} : { confirmation }) };
}

/** What the near cache found. */
export function nearFound<T>(near: NearCache, entry: NearEntry, codec: Codec<T>): Found<T> {
  const { version, bytes } = entry;
  const ttlMs = near.leftOf(entry);
  if (bytes === undefined) return { status: 'absent', version, ttlMs, node: '' };
  // Never undefined where there are bytes.
  const value = near.decode(entry, codec) as T;
  return { status: 'hit', value, version, ttlMs, source: 'near', stale: false, node: '' };
}
