import { isVersion } from './version.ts';

/** An entry as L2 gave it. */
export interface Entry {
  readonly version: string;
  readonly value: Buffer;
  readonly tags: readonly string[];
  /** The source is known to have no such thing; value is empty. */
  readonly absent: boolean;
}

/** An entry whose value is encoded in a way that this agent does not know, or is broken. */
export class UnreadableEntryError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UnreadableEntryError';
  }
}

const NEWLINE = 10;
/** Version, flags, and how many bytes of tags follow. */
const HEADER = /^(\S{3,52}) (\d{1,4}) (\d{1,6})$/;
const MAX_HEADER_BYTES = 64;
const NO_TAGS: readonly string[] = [];
/** In the header's flags, added up. */
export const ABSENT_FLAG = 1;
export const ZSTD_FLAG = 2;
const KNOWN_FLAGS = ABSENT_FLAG | ZSTD_FLAG;

/** Tags in the form that entries store; nothing for none, so that the scripts need not parse. */
export function encodeTags(tags: readonly string[]): string {
  return tags.length === 0 ? '' : JSON.stringify(tags);
}

/**
 * Parses `<version> <flags> <bytes of tags>\n<tags as JSON><value>`.
 * @param unpack gives the plain value of a compressed one
 * @throws UnreadableEntryError also where something else than this product wrote the key
 */
export function parseEntry(raw: Buffer, unpack: (bytes: Buffer) => Buffer): Entry {
  const end = raw.indexOf(NEWLINE);
  const header = end < 0 || end > MAX_HEADER_BYTES ? null : HEADER.exec(raw.toString('latin1', 0, end));
  const [, version = '', flags = '', tagBytes = ''] = header ?? [];
  const valueStart = end + 1 + Number(tagBytes);
  if (!isVersion(version) || valueStart > raw.length) {
    throw new UnreadableEntryError(
      'an entry in Redis has no header; something else writes to the keys of this cache',
    );
  }
  const tags: readonly string[] =
    valueStart === end + 1 ? NO_TAGS : parseTags(raw.toString('utf8', end + 1, valueStart));
  const bits = Number(flags);
  if ((bits & ~KNOWN_FLAGS) !== 0)
    throw new UnreadableEntryError(`an entry has the flags ${flags}, which only a later release knows`);
  const stored = raw.subarray(valueStart);
  const value = (bits & ZSTD_FLAG) === 0 ? stored : unpacked(stored, unpack);
  return { version, tags, absent: (bits & ABSENT_FLAG) !== 0, value };
}

function unpacked(stored: Buffer, unpack: (bytes: Buffer) => Buffer): Buffer {
  try {
    return unpack(stored);
  } catch (error) {
    throw new UnreadableEntryError('a compressed entry cannot be unpacked', { cause: error });
  }
}

function parseTags(json: string): readonly string[] {
  let tags: unknown;
  try {
    tags = JSON.parse(json);
  } catch (error) {
    throw new UnreadableEntryError('the tags of an entry are not JSON', { cause: error });
  }
  if (!Array.isArray(tags)) return NO_TAGS;
  return tags.filter((tag) => typeof tag === 'string');
}
