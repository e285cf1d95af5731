import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../api/limits.ts';
import { anyBytes, damaged, FUZZ, orRefusal } from '../test/support/fuzz.ts';
import { decodeEvent, PoisonedMessageError } from './bus/event-codec.ts';
import { encodeToken, InvalidTokenError, minimumOf } from './cache/token.ts';
import { FileJournal } from './change/outbox-journal.ts';
import { Compression } from './l2/compression.ts';
import { encodeTags, parseEntry, UnreadableEntryError } from './l2/entry.ts';
import { ValueCodec } from './l2/value-codec.ts';
import { isVersion } from './l2/version.ts';

/** Everything here is read from Redis, a disk or a caller: whoever wrote it may have meant harm. */

const version = fc.tuple(fc.nat(), fc.nat()).map(([ms, n]) => `${ms}-${n}`);
const tags = fc.array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }), { maxLength: 4 });

describe('an entry of L2', () => {
  const entry = fc
    .tuple(version, fc.constantFrom(0, 1, 2, 3, 4, 7), tags, anyBytes)
    .map(([of, flags, names, value]) => {
      const json = encodeTags(names);
      return Buffer.concat([Buffer.from(`${of} ${flags} ${Buffer.byteLength(json)}\n${json}`), value]);
    });
  const codec = new ValueCodec(new Compression(), undefined);

  it('is read, or refused as unreadable', () => {
    const property = fc.property(fc.oneof(anyBytes, damaged(entry)), (raw) => {
      const read = orRefusal(
        () => parseEntry(raw, (bytes, flags, tags) => codec.decode('ns', 'k', { flags, bytes }, tags)),
        (error) => error instanceof UnreadableEntryError,
      );
      if (read === undefined) return;
      expect(isVersion(read.version)).toBe(true);
      expect(read.tags.every((tag) => typeof tag === 'string')).toBe(true);
      expect(read.value.length).toBeLessThanOrEqual(LIMITS.valueBytes);
    });
    fc.assert(property, FUZZ);
  });

  it('comes back as it was', () => {
    const property = fc.property(version, tags, anyBytes, (of, names, value) => {
      const json = encodeTags(names);
      const raw = Buffer.concat([Buffer.from(`${of} 0 ${Buffer.byteLength(json)}\n${json}`), value]);
      expect(parseEntry(raw, (bytes) => bytes)).toEqual({ version: of, tags: names, absent: false, value });
    });
    fc.assert(property, FUZZ);
  });
});

describe('a compressed value', () => {
  it('is unpacked or refused, and never becomes more than a value may be', () => {
    const compression = new Compression();
    const packed = fc
      .tuple(fc.string({ maxLength: 50 }), fc.integer({ min: 1, max: 2000 }))
      .map(([text, times]) => compression.pack(Buffer.from(text.repeat(times)), 1).bytes);
    const property = fc.property(fc.oneof(anyBytes, damaged(packed)), (bytes) => {
      const plain = orRefusal(
        () => compression.unpack(bytes),
        (error) => error instanceof Error,
      );
      if (plain !== undefined) expect(plain.length).toBeLessThanOrEqual(LIMITS.valueBytes);
    });
    fc.assert(property, FUZZ);
  });

  it('is refused where it would become larger than any value', () => {
    const bomb = new Compression().pack(Buffer.alloc(LIMITS.valueBytes + 1), 1).bytes;
    expect(bomb.length).toBeLessThan(10_000);
    expect(() => new Compression().unpack(bomb)).toThrow();
  });
});

describe('a message of a channel, or of the log', () => {
  const event = fc.record(
    {
      event_id: fc.constantFrom('a', 'e-1', '', ' '),
      event_type: fc.constantFrom('put', 'pricing_updated', 'Ü'),
      resource_id: fc.string({ maxLength: 8 }),
      data: fc.dictionary(fc.string({ maxLength: 8 }), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 3 }),
      timestamp: fc.double(),
      source_node: fc.string({ maxLength: 8 }),
      affected_namespaces: fc.array(fc.constantFrom('ns', 'other', '__proto__', 'X'), { maxLength: 3 }),
      keys: fc.array(fc.string({ maxLength: 8 }), { maxLength: 3 }),
      tags,
      version,
      prev: version,
      prev_event_id: fc.string({ maxLength: 8 }),
      op: fc.constantFrom('put', 'invalidate', 'drop'),
      logged_at_us: fc.nat(),
      confirm: fc.string({ maxLength: 8 }),
      put: fc.record({ ttl_ms: fc.integer(), tags, value: fc.string({ maxLength: 30 }) }),
    },
    { requiredKeys: ['event_id', 'version', 'prev'] },
  );
  const isPoisoned = (error: unknown) => error instanceof PoisonedMessageError;

  it('is an event or poisoned', () => {
    const json = damaged(event.map((one) => Buffer.from(JSON.stringify(one))));
    const property = fc.property(fc.oneof(anyBytes, json), (bytes) => {
      const read = orRefusal(() => decodeEvent(bytes.toString('utf8')), isPoisoned);
      if (read !== undefined) expect(decodeEvent(JSON.stringify(read))).toEqual(read);
    });
    fc.assert(property, FUZZ);
  });

  it('is poisoned where it nests without end, is too long, or would reach into prototypes', () => {
    for (const json of [
      '['.repeat(1_000_000),
      `{"data":${'{"a":'.repeat(200_000)}1${'}'.repeat(200_000)}}`,
      'x'.repeat(5_000_000),
      '{"__proto__":{"event_id":"a"}}',
    ])
      expect(() => decodeEvent(json)).toThrow(PoisonedMessageError);
  });
});

describe('a token of a change', () => {
  const isRefused = (error: unknown) => error instanceof InvalidTokenError;
  const token = fc
    .tuple(
      fc.array(fc.tuple(fc.nat(255), version), { maxLength: 5 }),
      fc.array(fc.nat(255), { maxLength: 3 }),
    )
    .map(([versions, queued]) => encodeToken(new Map(versions), queued, 'e-1'));

  it('is understood or refused', () => {
    const texts = fc.oneof(
      fc.string(),
      damaged(token.map((one) => Buffer.from(one))).map((bytes) => bytes.toString('latin1')),
    );
    const property = fc.property(texts, fc.nat(255), (text, partition) => {
      const minimum = orRefusal(() => minimumOf(text, partition), isRefused);
      if (minimum !== undefined && minimum.version !== '') expect(isVersion(minimum.version)).toBe(true);
    });
    fc.assert(property, FUZZ);
  });

  it('asks for what the change made', () => {
    const property = fc.property(
      fc.uniqueArray(fc.nat(255), { minLength: 1, maxLength: 5 }),
      version,
      (places, of) => {
        const made = encodeToken(new Map(places.map((place) => [place, of])));
        for (const place of places) expect(minimumOf(made, place)).toEqual({ version: of, event: '' });
      },
    );
    fc.assert(property, FUZZ);
  });
});

describe('the journal of the outbox', () => {
  it('loads what of it is whole, whatever stands in the file', () => {
    const folder = mkdtempSync(join(tmpdir(), 'journal-'));
    try {
      const part = {
        partition: 1,
        eventId: 'e-1',
        body: '{}',
        keys: [{ namespace: 'ns', key: 'k' }],
        tagMarkers: [],
        namespaceMarkers: [],
        minReplicas: 0,
        confirm: false,
      };
      const line = fc.constantFrom(
        JSON.stringify({ add: part }),
        JSON.stringify({ add: { ...part, eventId: 'e-2' } }),
        JSON.stringify({ done: { partition: 1, eventId: 'e-1' } }),
      );
      const file = damaged(
        fc.array(line, { maxLength: 5 }).map((lines) => Buffer.from(`${lines.join('\n')}\n`)),
      );
      const property = fc.property(fc.oneof(anyBytes, file), (bytes) => {
        writeFileSync(join(folder, 'outbox-c.jsonl'), bytes);
        const journal = new FileJournal(folder, 'c');
        try {
          for (const { keys } of journal.load()) expect(Array.isArray(keys)).toBe(true);
        } finally {
          journal.close();
        }
      });
      fc.assert(property, { ...FUZZ, numRuns: Math.min(FUZZ.numRuns, 200) });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
