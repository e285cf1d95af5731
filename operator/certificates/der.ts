/**
 * The few forms of DER (ITU-T X.690) that a certificate is made of. Node signs and reads certificates but writes none,
 * and the libraries that do bring twenty packages with them, into the process that holds the authority's key.
 */

const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectId: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

export const sequence = (...parts: readonly Buffer[]): Buffer => element(TAG.sequence, Buffer.concat(parts));
export const set = (...parts: readonly Buffer[]): Buffer => element(TAG.set, Buffer.concat(parts));
export const octets = (bytes: Buffer): Buffer => element(TAG.octetString, bytes);
export const utf8 = (text: string): Buffer => element(TAG.utf8, Buffer.from(text));
export const yes = (): Buffer => element(TAG.boolean, Buffer.from([0xff]));

/** `[tag]` around whole elements. */
export const explicit = (tag: number, ...parts: readonly Buffer[]): Buffer =>
  element(0xa0 | tag, Buffer.concat(parts));
/** `[tag]` in place of an element's own tag, for one without parts. */
export const implicit = (tag: number, content: Buffer): Buffer => element(0x80 | tag, content);

/** An integer that is not negative, by its bytes, the highest first. */
export function integer(bytes: Buffer): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0);
  const shortest = first < 0 ? Buffer.from([0]) : bytes.subarray(first);
  // A first bit that is set would make it negative.
  const isNegative = (shortest[0] ?? 0) >= 0x80;
  return element(TAG.integer, isNegative ? Buffer.concat([Buffer.from([0]), shortest]) : shortest);
}

export function bitString(bytes: Buffer, unusedBits = 0): Buffer {
  return element(TAG.bitString, Buffer.concat([Buffer.from([unusedBits]), bytes]));
}

/** An object identifier as people write it: `1.2.840.10045.4.3.2`. */
export function objectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return element(TAG.objectId, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

/** A moment, to the second. RFC 5280 wants two digits of the year until 2049, and four from 2050. */
export function time(moment: Date): Buffer {
  const digits = moment.toISOString().replace(/[-:T]|\.[0-9]+/g, '');
  return moment.getUTCFullYear() < 2050
    ? element(TAG.utcTime, Buffer.from(digits.slice(2)))
    : element(TAG.generalizedTime, Buffer.from(digits));
}

function base128(value: number): number[] {
  const bytes = [value & 0x7f];
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) bytes.unshift((rest & 0x7f) | 0x80);
  return bytes;
}

function element(tag: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([tag, ...lengthBytes(content.length)]), content]);
}

function lengthBytes(length: number): number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return [0x80 | bytes.length, ...bytes];
}
