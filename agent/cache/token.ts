import { eventIdText } from '../../api/event.ts';
import { compareVersions, isVersion } from '../l2/version.ts';

/**
 * What a change returns so that a later lookup sees it: for each partition `<partition>@<version>`, or
 * `<partition>@?<event id>` where the change was queued and has no version yet. Opaque to callers; the first number is
 * the form's.
 */
const FORM = '1.';
const PAIR = /^(\d{1,3})@(\??)(.+)$/;

export class InvalidTokenError extends Error {}

/** What a lookup in one partition must show; both empty: nothing. */
export interface Minimum {
  readonly version: string;
  readonly event: string;
}

const NOTHING: Minimum = { version: '', event: '' };

export function encodeToken(
  versions: ReadonlyMap<number, string>,
  queued: readonly number[] = [],
  eventId: string = '',
): string {
  const pairs = [...versions].map(([partition, version]) => `${partition}@${version}`);
  return FORM + [...pairs, ...queued.map((partition) => `${partition}@?${eventId}`)].join(',');
}

/** What a token asks for in a partition. @throws InvalidTokenError */
export function minimumOf(token: string, partition: number): Minimum {
  if (token === '') return NOTHING;
  if (!token.startsWith(FORM)) throw new InvalidTokenError('a token must be one that a change returned');
  let found = NOTHING;
  for (const pair of token.slice(FORM.length).split(',')) {
    const [, index, queued, text = ''] = PAIR.exec(pair) ?? [];
    const valid = queued === '?' ? eventIdText.safeParse(text).success : isVersion(text);
    if (!valid) throw new InvalidTokenError('a token must be one that a change returned, unaltered');
    if (Number(index) !== partition) continue;
    if (queued === '?') found = { ...found, event: text };
    else if (found.version === '' || compareVersions(text, found.version) > 0)
      found = { ...found, version: text };
  }
  return found;
}
