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
export const SEALED_FLAG = 4;
const KNOWN_FLAGS = ABSENT_FLAG | ZSTD_FLAG | SEALED_FLAG;

/** Gives the plain value of what is stored, or nothing where nobody may be answered with it. */
export type Decode = (stored: Buffer, flags: number, tags: string) => Buffer | undefined;

/** Tags in the form that entries store; nothing for none, so that the scripts need not parse. */
export function encodeTags(tags: readonly string[]): string {
  return tags.length === 0 ? '' : JSON.stringify(tags);
}

/**
 * Parses `<version> <flags> <bytes of tags>\n<tags as JSON><value>`.
 * @returns nothing where `decode` gives nothing
 * @throws UnreadableEntryError also where something else than this product wrote the key
 */
export function parseEntry(raw: Buffer, decode: Decode): Entry | undefined {
  const end = raw.indexOf(NEWLINE);
  const header = end < 0 || end > MAX_HEADER_BYTES ? null : HEADER.exec(raw.toString('latin1', 0, end));
  const [, version = '', flags = '', tagBytes = ''] = header ?? [];
  const valueStart = end + 1 + Number(tagBytes);
  if (!isVersion(version) || valueStart > raw.length) {
    throw new UnreadableEntryError(
      'an entry in Redis has no header; something else writes to the keys of this cache',
    );
  }
  const tags = valueStart === end + 1 ? '' : raw.toString('utf8', end + 1, valueStart);
  const bits = Number(flags);
  if ((bits & ~KNOWN_FLAGS) !== 0)
    throw new UnreadableEntryError(`an entry has the flags ${flags}, which only a later release knows`);
  const value = decode(raw.subarray(valueStart), bits, tags);
  if (value === undefined) return undefined;
  const parsed = tags === '' ? NO_TAGS : parseTags(tags);
  return { version, tags: parsed, absent: (bits & ABSENT_FLAG) !== 0, value };
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
