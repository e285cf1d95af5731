import {
  type BatchGetResponse,
  type GetResponse,
  Refusal,
  type Source,
} from '../../proto/gen/edgecache/v1/edgecache.ts';

const NO_BYTES = Buffer.alloc(0);
const FIELD_BITS = 3;
const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/**
 * Decodes as the generated decoder does, save that values are parts of the message instead of copies, and nothing is made
 * for what is not there: half of a lookup's cost on the client. Who keeps a value for long makes a copy of it.
 * @throws RangeError where the message is cut short or is none
 */
export function decodeBatch(message: Buffer): BatchGetResponse {
  const cursor = new Cursor(message);
  const batch: BatchGetResponse = { id: 0, items: [], places: [], refusal: undefined };
  while (cursor.at < message.length) {
    const tag = cursor.uint32();
    switch (tag) {
      case (1 << FIELD_BITS) | WIRE.varint:
        batch.id = cursor.varint();
        break;
      case (2 << FIELD_BITS) | WIRE.bytes:
        batch.items.push(decodeItem(cursor, cursor.end()));
        break;
      case (3 << FIELD_BITS) | WIRE.varint:
        batch.places.push(cursor.uint32());
        break;
      case (3 << FIELD_BITS) | WIRE.bytes:
        for (const end = cursor.end(); cursor.at < end; ) batch.places.push(cursor.uint32());
        break;
      case (4 << FIELD_BITS) | WIRE.bytes:
        batch.refusal = Refusal.decode(cursor.bytes());
        break;
      default:
        cursor.skip(tag);
    }
  }
  return batch;
}

function decodeItem(cursor: Cursor, end: number): GetResponse {
  const item: GetResponse = {
    found: false,
    value: NO_BYTES,
    version: '',
    ttlMs: 0,
    source: 0,
    stale: false,
    degraded: false,
    leaseToken: '',
    retryAfterMs: 0,
    absent: false,
    refusal: undefined,
    tags: [],
  };
  while (cursor.at < end) decodeField(cursor, cursor.uint32(), item);
  return item;
}

function decodeField(cursor: Cursor, tag: number, item: GetResponse): void {
  switch (tag) {
    case (1 << FIELD_BITS) | WIRE.varint:
      item.found = cursor.varint() !== 0;
      break;
    case (2 << FIELD_BITS) | WIRE.bytes:
      item.value = cursor.bytes();
      break;
    case (3 << FIELD_BITS) | WIRE.bytes:
      item.version = cursor.string();
      break;
    case (4 << FIELD_BITS) | WIRE.varint:
      item.ttlMs = cursor.uint32();
      break;
    case (5 << FIELD_BITS) | WIRE.varint:
      // The contract's enum is open: a source that is not known yet is handed on, as the generated decoder does.
      item.source = (cursor.uint32() | 0) as Source;
      break;
    case (6 << FIELD_BITS) | WIRE.varint:
      item.stale = cursor.varint() !== 0;
      break;
    case (7 << FIELD_BITS) | WIRE.varint:
      item.degraded = cursor.varint() !== 0;
      break;
    case (8 << FIELD_BITS) | WIRE.bytes:
      item.leaseToken = cursor.string();
      break;
    case (9 << FIELD_BITS) | WIRE.varint:
      item.retryAfterMs = cursor.uint32();
      break;
    case (10 << FIELD_BITS) | WIRE.varint:
      item.absent = cursor.varint() !== 0;
      break;
    case (11 << FIELD_BITS) | WIRE.bytes:
      item.refusal = Refusal.decode(cursor.bytes());
      break;
    case (12 << FIELD_BITS) | WIRE.bytes:
      item.tags.push(cursor.string());
      break;
    default:
      cursor.skip(tag);
  }
}

class Cursor {
  readonly #buffer: Buffer;
  at = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  /** The low 32 bits of a varint. */
  uint32(): number {
    const first = this.#buffer[this.at];
    if (first !== undefined && first < 128) {
      this.at += 1;
      return first;
    }
    return this.varint() >>> 0;
  }

  /** A varint of up to 53 bits exactly; of larger ones the high bits are not exact, as no field needs them. */
  varint(): number {
    let value = 0;
    let factor = 1;
    for (let i = 0; i < 10; i++) {
      const byte = this.#buffer[this.at];
      if (byte === undefined) throw cutShort();
      this.at += 1;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
      factor *= 128;
    }
    throw new RangeError('a varint has more than ten bytes');
  }

  /** Where the part that begins here ends, from the length that stands before it. */
  end(): number {
    const length = this.uint32();
    const end = this.at + length;
    if (end > this.#buffer.length) throw cutShort();
    return end;
  }

  bytes(): Buffer {
    const end = this.end();
    const bytes = this.#buffer.subarray(this.at, end);
    this.at = end;
    return bytes;
  }

  string(): string {
    const end = this.end();
    const text = this.#buffer.toString('utf8', this.at, end);
    this.at = end;
    return text;
  }

  /** Passes over a field that is not known here. */
  skip(tag: number): void {
    const wire = tag & 7;
    if (tag >>> FIELD_BITS === 0) throw new RangeError('a field has the number 0');
    if (wire === WIRE.varint) this.varint();
    else if (wire === WIRE.bytes) this.at = this.end();
    else if (wire === WIRE.fixed64) this.at += 8;
    else if (wire === WIRE.fixed32) this.at += 4;
    else throw new RangeError(`wire type ${wire} is not of this contract`);
    if (this.at > this.#buffer.length) throw cutShort();
  }
}

function cutShort(): RangeError {
  return new RangeError('the message ends in the middle of a field');
}
