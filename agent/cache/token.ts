import { compareVersions, isVersion } from '../l2/version.ts';

/**
 * What a change returns so that a later lookup sees it: partition and version pairs, `1.0@1700000000000-0,3@…`.
 * Opaque to callers; the first number is the form's.
 */
const FORM = '1.';
const PAIR = /^(\d{1,3})@(.+)$/;

export class InvalidTokenError extends Error {}

export function encodeToken(versions: ReadonlyMap<number, string>): string {
  return FORM + [...versions].map(([partition, version]) => `${partition}@${version}`).join(',');
}

/** Version that a token asks for in a partition, if any. @throws InvalidTokenError */
export function tokenVersion(token: string, partition: number): string | undefined {
  if (!token.startsWith(FORM)) throw new InvalidTokenError('a token must be one that a change returned');
  let found: string | undefined;
  for (const pair of token.slice(FORM.length).split(',')) {
    const match = PAIR.exec(pair);
    const [, index, version] = match ?? [];
    if (version === undefined || !isVersion(version)) {
      throw new InvalidTokenError('a token must be one that a change returned, unaltered');
    }
    if (Number(index) === partition && (found === undefined || compareVersions(version, found) > 0))
      found = version;
  }
  return found;
}
