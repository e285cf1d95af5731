import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../hack/local/children.ts';
import { KeyRing, SEAL_BYTES, UnopenedError } from './encryption.ts';
import { Encryption } from './encryption-keys.ts';

const secret = randomBytes(32);
const ring = new KeyRing('cache', [secret]);
const place = { namespace: 'ns', key: 'k', header: '4 ["t"]' };

const reasonOf = (open: () => unknown) => {
  try {
    open();
    return 'opened';
  } catch (error) {
    if (error instanceof UnopenedError) return error.reason;
    throw error;
  }
};

describe('a sealed value', () => {
  it('is opened where it was sealed for, is never twice the same, and shows nothing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2_000 }), (bytes) => {
        const value = Buffer.from(bytes);
        const sealed = ring.seal(value, place);
        expect(sealed.length).toBe(value.length + SEAL_BYTES);
        expect(ring.open(sealed, place).equals(value)).toBe(true);
        expect(ring.seal(value, place).equals(sealed)).toBe(false);
        if (value.length > 8) expect(sealed.includes(value)).toBe(false);
      }),
    );
  });

  it('is not opened anywhere else', () => {
    const sealed = ring.seal(Buffer.from('v'), place);
    const others = [
      { ...place, namespace: 'n' },
      { ...place, key: 'k2' },
      { ...place, header: '4 ' },
      { namespace: 'ns","k', key: '', header: place.header },
    ];
    for (const other of others) expect(reasonOf(() => ring.open(sealed, other))).toBe('altered');
    expect(reasonOf(() => new KeyRing('other', [secret]).open(sealed, place))).toBe('altered');
  });

  it('is not opened when any bit of it was changed, or it was cut', () => {
    const sealed = ring.seal(Buffer.from('some value'), place);
    fc.assert(
      fc.property(fc.nat(sealed.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Buffer.from(sealed);
        changed[at] = (changed[at] ?? 0) ^ change;
        expect(reasonOf(() => ring.open(changed, place))).not.toBe('opened');
        expect(reasonOf(() => ring.open(sealed.subarray(0, at), place))).not.toBe('opened');
      }),
    );
  });

  it('of an earlier key is opened as long as that key is there', () => {
    const sealed = ring.seal(Buffer.from('v'), place);
    const fresh = randomBytes(32);
    const both = new KeyRing('cache', [fresh, secret]);
    expect(both.open(sealed, place).toString()).toBe('v');
    const resealed = both.seal(Buffer.from('v'), place);
    expect(new KeyRing('cache', [fresh]).open(resealed, place).toString()).toBe('v');
    expect(reasonOf(() => new KeyRing('cache', [fresh]).open(sealed, place))).toBe('unknown-key');
  });
});

describe('the file of keys', () => {
  const read = (content: string) => {
    const keyFile = join(temporaryFolder('keys'), 'keys');
    writeFileSync(keyFile, content);
    const log = pino({ level: 'silent' });
    return new Encryption({ cacheId: 'c', keyFile, isEncrypted: () => true, now: () => 0, log });
  };
  const key = () => randomBytes(32).toString('base64');

  it('has one key a line, and remarks', () => {
    const encryption = read(`# made in March\n${key()}\r\n\n${key()}\n`);
    const sealed = encryption.seal(Buffer.from('v'), place);
    expect(encryption.open(sealed, place)?.toString()).toBe('v');
  });

  it.each([
    ['nothing', '', '0 keys'],
    ['a short key', randomBytes(16).toString('base64'), 'line 1 is not a key'],
    ['no base64', `${key()}\nx${key().slice(1, -1)}!`, 'line 2 is not a key'],
    ['too many', Array.from({ length: 33 }, key).join('\n'), '33 keys'],
  ])('is refused with %s, and never shown', (_, content, said) => {
    let message = '';
    try {
      read(content);
    } catch (error) {
      message = String(error);
    }
    expect(message).toContain(said);
    expect(message).toContain('encryption.keyFile');
    for (const line of content.split('\n').filter((text) => text !== '')) expect(message).not.toContain(line);
  });

  it('counts what it cannot open, and tells of it without end only in its counter', () => {
    const encryption = read(key());
    const sealed = ring.seal(Buffer.from('v'), place);
    for (let i = 0; i < 3; i++) expect(encryption.open(sealed, place)).toBeUndefined();
    expect(encryption.failures).toEqual({ 'unknown-key': 3, altered: 0, plain: 0 });
  });
});
