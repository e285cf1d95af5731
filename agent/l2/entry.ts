/** An entry as L2 gave it. */
export interface Entry {
  readonly version: string;
  readonly value: Buffer;
  readonly tags: readonly string[];
  /** The source is known to have no such thing; value is empty. */
  readonly absent: boolean;
}

const NEWLINE = 10;
const NO_TAGS: readonly string[] = [];
/** In the header's flags. */
export const ABSENT_FLAG = 1;

/** Tags in the form that entries store; nothing for none, so that the scripts need not parse. */
export function encodeTags(tags: readonly string[]): string {
  return tags.length === 0 ? '' : JSON.stringify(tags);
}

/**
 * Parses `<version> <flags> <bytes of tags>\n<tags as JSON><value>`.
 * @throws Error where something else than this product wrote the key.
 */
export function parseEntry(raw: Buffer): Entry {
  const end = raw.indexOf(NEWLINE);
  const header = end < 0 ? [] : raw.toString('latin1', 0, end).split(' ');
  const [version, flags, tagBytes] = header;
  if (version === undefined || flags === undefined || tagBytes === undefined) {
    throw new Error('an entry in Redis has no header; something else writes to the keys of this cache');
  }
  const valueStart = end + 1 + Number(tagBytes);
  const tags: readonly string[] =
    valueStart === end + 1 ? NO_TAGS : parseTags(raw.toString('utf8', end + 1, valueStart));
  return { version, tags, absent: Number(flags) === ABSENT_FLAG, value: raw.subarray(valueStart) };
}

function parseTags(json: string): readonly string[] {
  const tags: unknown = JSON.parse(json);
  if (!Array.isArray(tags)) return NO_TAGS;
  return tags.filter((tag) => typeof tag === 'string');
}
