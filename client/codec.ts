import { EdgeCacheError } from './errors.ts';

/**
 * How values become bytes and back. Decoding makes a fresh value each time, so no caller can change the cache; the bytes
 * are part of a larger message, which lives for as long as they are kept.
 */
export interface Codec<T> {
  encode(value: T): Buffer;
  decode(bytes: Buffer): T;
  /**
   * Whether what decode gives is plain data, to be frozen and shared by all who are answered from the near cache.
   * Otherwise each of them has it decoded anew.
   */
  readonly freezable?: boolean;
}

/**
 * JSON, checked both ways: what one caller wrote unchecked, every reader of every node would have to refuse.
 * @param parse turns what JSON gave into the type, or throws: for instance a zod schema's `parse`.
 */
export function json<T>(parse: (value: unknown) => T): Codec<T> {
  return {
    freezable: true,
    encode(value) {
      const text = JSON.stringify(checked(parse, value));
      if (text === undefined) throw valueError('it has no JSON form');
      return Buffer.from(text);
    },
    decode(bytes) {
      try {
        return parse(JSON.parse(bytes.toString()));
      } catch (error) {
        throw valueError('what is cached is not of the expected form', error);
      }
    },
  };
}

/** JSON as it comes. */
export const anyJson: Codec<unknown> = json((value) => value);

/** Bytes as they are; what is decoded is a copy. */
export const bytes: Codec<Buffer> = {
  encode: (value) => value,
  decode: (value) => Buffer.from(value),
};

function checked<T>(parse: (value: unknown) => T, value: T): T {
  try {
    return parse(value);
  } catch (error) {
    throw valueError('it is not of the expected form', error);
  }
}

function valueError(reason: string, cause?: unknown): EdgeCacheError {
  return new EdgeCacheError('EC_CLIENT_VALUE', `a value cannot be used: ${reason}`, false, { cause });
}
