import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeTags, parseEntry } from './entry.ts';
import { PartitionKeys } from './keys.ts';
import { partitionOf } from './partition.ts';
import { compareVersions, isVersion } from './version.ts';

const plain = (bytes: Buffer) => bytes;

describe('versions', () => {
  it('are ordered as numbers, fills after the event that they followed', () => {
    const ordered = ['0-0', '9-0', '10-0', '10-0.1', '10-0.2', '10-0.10', '10-1', '10-2.1', '11-0'];
    ordered.forEach((a, i) => {
      ordered.forEach((b, j) => {
        expect(Math.sign(compareVersions(a, b))).toBe(Math.sign(i - j));
      });
    });
  });

  it('are told from anything else', () => {
    for (const good of ['1-0', '1700000000000-12', '1-0.3']) expect(isVersion(good)).toBe(true);
    for (const bad of ['', '1', '-', '1-', '1-0.', '1-0.x', ' 1-0', '1-0 ', '$'])
      expect(isVersion(bad)).toBe(false);
  });
});

describe('the partition of a key', () => {
  it('never changes: what is stored is found by it', () => {
    expect(partitionOf('gpu_avail', 'gpu/gpu_123', 16)).toBe(partitionOf('gpu_avail', 'gpu/gpu_123', 16));
    const known = ['', 'a', 'gpu/1', 'ü', '日本'].map((key) => partitionOf('ns', key, 1_000_003));
    expect(known).toMatchInlineSnapshot(`
      [
        16938,
        354857,
        483083,
        253147,
        757868,
      ]
    `);
  });

  it('is the same for text of any alphabet as for its bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 256 }), (key, partitions) => {
        const partition = partitionOf('ns', key, partitions);
        expect(partition).toBeGreaterThanOrEqual(0);
        expect(partition).toBeLessThan(partitions);
      }),
    );
  });

  it('spreads keys that differ in a digit', () => {
    const counts = new Array<number>(16).fill(0);
    for (let i = 0; i < 16_000; i++) {
      const partition = partitionOf('gpu_avail', `gpu_${i}`, 16);
      counts[partition] = (counts[partition] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(150);
  });
});

describe('names of keys', () => {
  const names = new PartitionKeys('shop', 3);

  it('of a partition have one hash tag', () => {
    const all = [
      names.meta,
      names.log,
      names.channel,
      names.agents,
      names.entry('a', 'k'),
      names.lease('a', 'k'),
    ];
    for (const name of [...all, names.namespaceMarker('a'), names.tagMarkerPrefix('a'), names.eventId('e')]) {
      expect(name).toContain('{shop:3}');
    }
  });

  it('of a namespace that begins like another are not taken for it', () => {
    expect(names.entry('gpu', 'avail:k')).not.toBe(names.entry('gpu_avail', 'k'));
    expect(names.namespaceMarker('gpu')).not.toBe(names.namespaceMarker('gpu_avail'));
  });
});

describe('an entry in Redis', () => {
  it('is read as it was written, whatever its tags and value are', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'grapheme', minLength: 1 })),
        fc.uint8Array(),
        fc.boolean(),
        (tags, bytes, absent) => {
          const text = encodeTags(tags);
          const head = `5-1 ${absent ? 1 : 0} ${Buffer.byteLength(text)}\n${text}`;
          const entry = parseEntry(Buffer.concat([Buffer.from(head), bytes]), plain);
          expect(entry?.tags).toEqual(tags);
          expect(entry?.absent).toBe(absent);
          expect(entry?.version).toBe('5-1');
          expect(Buffer.compare(entry?.value ?? Buffer.from('none'), Buffer.from(bytes))).toBe(0);
        },
      ),
    );
  });

  it('that something else wrote is refused with what is wrong', () => {
    expect(() => parseEntry(Buffer.from('hello'), plain)).toThrow(/something else writes to the keys/);
  });
});
