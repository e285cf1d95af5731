import type { ServerDuplexStream, ServerWritableStream } from '@grpc/grpc-js';
import type { FollowRequest, WatchRequest, WatchResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { invalid } from '../requests.ts';
import type { Watcher } from '../watch/watcher.ts';
import type { Watchers } from '../watch/watchers.ts';

/** @throws what refuses a namespace. */
type CheckNamespaces = (names: readonly string[]) => void;

/** Longest lease that anybody is given: an agent's own is never longer. */
const MAX_LEASE_MS = 60_000;

/** Serves `Watch`: one lease at most, counted from the call itself; then signs of life. */
export function serveWatch(
  call: ServerWritableStream<WatchRequest, WatchResponse>,
  watchers: Watchers,
  check: CheckNamespaces,
): void {
  const watcher = join(call, call.request, watchers, check);
  call.on('drain', () => watcher.drained());
  onGone(call, () => watchers.remove(watcher, false));
}

/** Serves `Follow`: a lease for each request of one, and acknowledgements. */
export function serveFollow(
  call: ServerDuplexStream<FollowRequest, WatchResponse>,
  watchers: Watchers,
  check: CheckNamespaces,
  fail: (error: unknown) => void,
): void {
  let watcher: Watcher | undefined;
  const receive = ({ kind }: FollowRequest): void => {
    if (kind?.$case === 'open') {
      if (watcher !== undefined) throw invalid('open', 'a second one', 'may be sent once');
      watcher = join(call, kind.value, watchers, check);
    } else if (watcher === undefined) {
      throw invalid('kind', kind?.$case ?? 'nothing', 'must be open at first');
    } else if (kind?.$case === 'renew') watchers.renew(watcher, kind.value.nonce);
    else if (kind?.$case === 'ack') watcher.acknowledge(kind.value.sequence);
    // Only in so many words: a stream also ends when its client has been cut off, and then it may hold what it held.
    else if (kind?.$case === 'leave') watchers.remove(watcher, true);
  };
  call.on('data', (request: FollowRequest) => {
    try {
      receive(request);
    } catch (error) {
      fail(error);
    }
  });
  call.on('drain', () => watcher?.drained());
  const gone = () => {
    if (watcher !== undefined) watchers.remove(watcher, false);
  };
  call.on('end', () => {
    gone();
    call.end();
  });
  onGone(call, gone);
}

function join(
  call: { write(response: WatchResponse): boolean; end(): unknown },
  { namespaces, leaseMs }: WatchRequest,
  watchers: Watchers,
  check: CheckNamespaces,
): Watcher {
  check(namespaces);
  return watchers.add({
    sink: { write: (response) => call.write(response), end: () => void call.end() },
    namespaces: namespaces.length === 0 ? undefined : new Set(namespaces),
    leaseMs: Math.min(leaseMs, MAX_LEASE_MS),
  });
}

function onGone(
  call: { on(event: 'cancelled' | 'close' | 'error', listener: () => void): unknown },
  gone: () => void,
): void {
  call.on('cancelled', gone);
  call.on('close', gone);
  call.on('error', gone);
}
