import { randomBytes } from 'node:crypto';
import { zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../api/limits.ts';
import { Compression } from './compression.ts';
import { parseEntry, UnreadableEntryError, ZSTD_FLAG } from './entry.ts';
import { ValueCodec } from './value-codec.ts';

const json = fc.json().map((text) => Buffer.from(text.repeat(20)));
const noise = fc.uint8Array({ maxLength: 5_000 }).map((bytes) => Buffer.from(bytes));

describe('compression', () => {
  it('gives back what it was given, and never stores more', () => {
    fc.assert(
      fc.property(fc.oneof(json, noise), fc.nat(2_000), (value, aboveBytes) => {
        const compression = new Compression();
        const { bytes, isCompressed } = compression.pack(value, aboveBytes);
        expect(bytes.length).toBeLessThanOrEqual(value.length);
        const plain = isCompressed ? compression.unpack(bytes) : bytes;
        expect(plain.equals(value)).toBe(true);
        if (aboveBytes === 0 || value.length <= aboveBytes) expect(isCompressed).toBe(false);
      }),
    );
  });

  it('leaves alone what does not get a tenth smaller, and counts what it tried', () => {
    const compression = new Compression();
    const random = randomBytes(4_096);
    const text = Buffer.from('{"status":"free"}'.repeat(100));
    expect(compression.pack(random, 100).isCompressed).toBe(false);
    const { bytes, isCompressed } = compression.pack(text, 100);
    expect(isCompressed).toBe(true);
    expect(compression.plainBytes).toBe(random.length + text.length);
    expect(compression.storedBytes).toBe(random.length + bytes.length);
  });

  it('makes no more of few bytes than any value may have', () => {
    const bomb = zstdCompressSync(Buffer.alloc(LIMITS.valueBytes + 1));
    expect(bomb.length).toBeLessThan(10_000);
    expect(() => new Compression().unpack(bomb)).toThrow();
    const largest = zstdCompressSync(Buffer.alloc(LIMITS.valueBytes));
    expect(new Compression().unpack(largest).length).toBe(LIMITS.valueBytes);
  });
});

describe('an entry', () => {
  const compression = new Compression();
  const entry = (flags: number, value: Buffer) => Buffer.concat([Buffer.from(`1-0 ${flags} 0\n`), value]);
  const codec = new ValueCodec(compression, undefined);
  const parse = (raw: Buffer) =>
    parseEntry(raw, (bytes, flags, tags) => codec.decode('ns', 'k', { flags, bytes }, tags));

  it('that is broken, or of a later release, is told apart from one that is absent', () => {
    for (const raw of [
      entry(ZSTD_FLAG, Buffer.from('no zstd')),
      entry(8, Buffer.from('?')),
      entry(9, Buffer.alloc(0)),
    ])
      expect(() => parse(raw)).toThrow(UnreadableEntryError);
  });

  it('whose bytes were changed is an error, never another value', () => {
    const value = Buffer.from('{"a":1}'.repeat(50));
    const { bytes } = compression.pack(value, 10);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ change;
        try {
          // A bit of the frame's head may mean nothing.
          expect(parse(entry(ZSTD_FLAG, changed))?.value.equals(value)).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(UnreadableEntryError);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
