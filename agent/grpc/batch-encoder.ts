import { BatchGetResponse, type GetResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';

/** Field numbers and wire types of GetResponse, as they stand on the wire. */
const ITEM = { found: 8, value: 18, version: 26, ttlMs: 32, source: 40, stale: 48, degraded: 56 } as const;
const MORE = { leaseToken: 66, retryAfterMs: 72, absent: 80, tag: 98 } as const;
const BATCH = { id: 8, item: 18, places: 26 } as const;

/**
 * Encodes answers to a batch. The generated encoder collects the pieces and then copies all of them twice; this one measures first,
 * so that a value goes from memory into the message in one copy. Refusals, which are rare, are left to the generated one.
 */
export function encodeBatch(response: BatchGetResponse): Buffer {
  const { id, items, places, refusal } = response;
  if (refusal !== undefined || items.some((item) => item.refusal !== undefined))
    return Buffer.from(BatchGetResponse.encode(response).finish());
  const sizes = items.map(sizeOf);
  let size = id === 0 ? 0 : 1 + varintSize(id);
  for (const each of sizes) size += 1 + varintSize(each) + each;
  const placesSize = places.reduce((sum, place) => sum + varintSize(place), 0);
  if (places.length > 0) size += 1 + varintSize(placesSize) + placesSize;
  const out = new Output(size);
  if (id !== 0) out.number(BATCH.id, id);
  items.forEach((item, i) => {
    out.number(BATCH.item, sizes[i] ?? 0);
    writeItem(out, item);
  });
  if (places.length > 0) {
    out.number(BATCH.places, placesSize);
    for (const place of places) out.varint(place);
  }
  return out.buffer;
}

function sizeOf(item: GetResponse): number {
  const { value, version, ttlMs, leaseToken, retryAfterMs } = item;
  let size = (item.found ? 2 : 0) + (item.source === 0 ? 0 : 2);
  if (value.length > 0) size += 1 + varintSize(value.length) + value.length;
  if (version !== '') size += 1 + varintSize(version.length) + version.length;
  if (ttlMs !== 0) size += 1 + varintSize(ttlMs);
  size += (item.stale ? 2 : 0) + (item.degraded ? 2 : 0) + (item.absent ? 2 : 0);
  if (leaseToken !== '') size += 1 + varintSize(leaseToken.length) + leaseToken.length;
  if (retryAfterMs !== 0) size += 1 + varintSize(retryAfterMs);
  for (const tag of item.tags) {
    const bytes = Buffer.byteLength(tag);
    size += 1 + varintSize(bytes) + bytes;
  }
  return size;
}

function writeItem(out: Output, item: GetResponse): void {
  if (item.found) out.number(ITEM.found, 1);
  if (item.value.length > 0) out.bytes(ITEM.value, item.value);
  if (item.version !== '') out.ascii(ITEM.version, item.version);
  if (item.ttlMs !== 0) out.number(ITEM.ttlMs, item.ttlMs);
  if (item.source !== 0) out.number(ITEM.source, item.source);
  if (item.stale) out.number(ITEM.stale, 1);
  if (item.degraded) out.number(ITEM.degraded, 1);
  if (item.leaseToken !== '') out.ascii(MORE.leaseToken, item.leaseToken);
  if (item.retryAfterMs !== 0) out.number(MORE.retryAfterMs, item.retryAfterMs);
  if (item.absent) out.number(MORE.absent, 1);
  for (const tag of item.tags) out.text(MORE.tag, tag);
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size += 1;
  return size;
}

/** A message of a known size. */
class Output {
  readonly buffer: Buffer;
  #at = 0;

  constructor(size: number) {
    this.buffer = Buffer.allocUnsafe(size);
  }

  varint(value: number): void {
    let rest = value;
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.#byte((rest % 128) + 128);
    this.#byte(rest);
  }

  number(tag: number, value: number): void {
    this.#byte(tag);
    this.varint(value);
  }

  bytes(tag: number, value: Buffer): void {
    this.number(tag, value.length);
    value.copy(this.buffer, this.#at);
    this.#at += value.length;
  }

  /** Versions and lease tokens. */
  ascii(tag: number, text: string): void {
    this.number(tag, text.length);
    this.#at += this.buffer.write(text, this.#at, 'latin1');
  }

  text(tag: number, text: string): void {
    this.number(tag, Buffer.byteLength(text));
    this.#at += this.buffer.write(text, this.#at);
  }

  #byte(value: number): void {
    this.buffer[this.#at] = value;
    this.#at += 1;
  }
}
