import { isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cidr } from './cidr.ts';

const isCidr = (text: string) => cidr.safeParse(text).success;

describe('a range of addresses', () => {
  test.each([
    '0.0.0.0/0',
    '10.20.0.0/16',
    '192.168.1.7/32',
    '::/0',
    '::1/128',
    '2001:db8::/32',
    '1:2:3:4:5:6:7::/112',
  ])('may be %s', (text) => expect(isCidr(text)).toBe(true));

  test.each([
    '10.0.0.0',
    '10.0.0.0/33',
    '10.0.0.0/08',
    '10.0.0/8',
    '256.0.0.0/8',
    '010.0.0.0/8',
    '2001:db8::/129',
    '2001:db8:::/32',
    '1::2::3/64',
    'fe80::1%eth0/64',
    '::ffff:10.0.0.0/104',
    'shop/24',
    ' 10.0.0.0/8',
    '10.0.0.0/8\n',
  ])('may not be %j', (text) => expect(isCidr(text)).toBe(false));

  test('has an address that the system takes, and every plain one is taken', () => {
    const group = fc.integer({ min: 0, max: 0xffff }).map((n) => n.toString(16));
    const pieces = fc.array(fc.oneof(group, fc.constant('')), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(
        fc.oneof(
          fc.ipV4(),
          pieces.map((list) => list.join(':')),
        ),
        (address) => {
          const family = isIP(address);
          expect(isCidr(`${address}/24`)).toBe(family !== 0);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
