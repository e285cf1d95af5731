import { generateKeyPairSync, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resolveNamespace } from '../api/namespace.ts';
import { checkSensitive, findSensitive, SCANNED_BYTES, SENSITIVE_PATTERNS } from './sensitive.ts';

const named = (text: string) => findSensitive(Buffer.from(text))?.name;
const word = (length: number, alphabet: string) =>
  Array.from(randomBytes(length), (byte) => alphabet[byte % alphabet.length]).join('');
const UPPER = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const MIXED = `${UPPER}abcdefghijklmnopqrstuvwxyz019`;

const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
const aJwt = () => `${base64url({ alg: 'HS256' })}.${base64url({ sub: 'someone' })}.${word(43, MIXED)}`;
const aPem = (type: 'pkcs1' | 'pkcs8') =>
  generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({ type, format: 'pem' }).toString();

const SECRETS: readonly [string, string, () => string][] = [
  ['private-key', 'PKCS#8', () => aPem('pkcs8')],
  ['private-key', 'PKCS#1', () => aPem('pkcs1')],
  ['private-key', 'OpenSSH', () => '-----BEGIN OPENSSH PRIVATE KEY-----\n'],
  ['private-key', 'PGP', () => '-----BEGIN PGP PRIVATE KEY BLOCK-----\n'],
  ['cloud-key', 'AWS', () => `AKIA${word(16, UPPER)}`],
  ['cloud-key', 'AWS, for a while', () => `ASIA${word(16, UPPER)}`],
  ['cloud-key', 'Google', () => `AIza${word(35, MIXED)}`],
  ['cloud-key', 'Azure', () => `AccountKey=${word(86, MIXED)}==`],
  ['service-token', 'GitHub', () => `ghp_${word(36, MIXED)}`],
  ['service-token', 'Slack', () => `xoxb-${word(24, '0123456789')}`],
  ['jwt', 'JWT', aJwt],
  ['bearer-token', 'bearer', () => `Authorization: Bearer ${word(32, MIXED)}`],
  ['password', 'field', () => '{"user":"u","password": "hunter22"}'],
  ['password', 'field in a text', () => JSON.stringify({ body: '{"client_secret":"abcdef"}' })],
  ['password', 'URL', () => 'postgres://app:hunter2@db:5432/x'],
];

describe('what looks like a secret', () => {
  it.each(SECRETS)('is found by %s: %s', (pattern, _, secret) => {
    expect(named(secret())).toBe(pattern);
  });

  it('is found anywhere among other text, in JSON too', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...SECRETS.filter(([name]) => name !== 'password')),
        fc.string({ maxLength: 200 }),
        fc.string({ maxLength: 200 }),
        ([, , secret], before, after) => {
          const field = JSON.stringify({ before, field: secret(), after });
          expect(findSensitive(Buffer.from(field))).toBeDefined();
        },
      ),
    );
  });

  it('is refused by its pattern, without a word of itself, where the namespace refuses it', () => {
    const refusing = resolveNamespace({ name: 'ns', sensitive: 'refuse' }, 30);
    const secret = `AKIA${word(16, UPPER)}`;
    let message = '';
    try {
      checkSensitive(refusing, 'value', Buffer.from(secret));
    } catch (error) {
      message = String(error);
    }
    expect(message).toContain('value: got what looks like a key of a cloud account (pattern cloud-key)');
    expect(message).not.toContain(secret.slice(4));
    const allowing = resolveNamespace({ name: 'ns' }, 30);
    expect(() => checkSensitive(allowing, 'value', Buffer.from(secret))).not.toThrow();
  });
});

const id = fc.stringMatching(/^[a-z0-9_-]{1,40}$/);
const money = fc.double({ min: 0, max: 1_000, noNaN: true });
const region = fc.constantFrom('us-east', 'eu-west', 'ap-south');
const type = fc.constantFrom('a100', 'h100', 'rtx4090');
/** Of the shapes of client/marketplace/model.ts. */
const marketplaceValue = fc.oneof(
  fc.record({
    gpuId: id,
    region,
    type,
    providerId: id,
    available: fc.boolean(),
    bookingId: fc.option(fc.uuid()),
  }),
  fc.record({ region, type, free: fc.nat(), gpuIds: fc.array(id, { maxLength: 50 }) }),
  fc.record({ region, type, pricePerHour: money, currency: fc.constant('USD'), updatedAt: fc.nat() }),
  fc.record({
    bids: fc.array(fc.record({ price: money, quantity: fc.nat() }), { maxLength: 30 }),
    asks: fc.array(fc.record({ price: money, quantity: fc.nat() }), { maxLength: 30 }),
  }),
  fc.record({ providerId: id, online: fc.boolean(), name: fc.string(), url: fc.webUrl() }),
  fc.record({
    id: fc.uuid(),
    hash: fc.stringMatching(/^[0-9a-f]{64}$/),
    blob: fc.base64String({ maxLength: 400 }),
  }),
);

describe('what is no secret', () => {
  it('is let through: values of a marketplace, ids, hashes, addresses, base64', () => {
    fc.assert(
      fc.property(marketplaceValue, (value) => {
        expect(findSensitive(Buffer.from(JSON.stringify(value)))).toBeUndefined();
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    'a password that is not told: {"password":"****","pwd":null,"api_key":""}',
    'bearer of good news, the password is on the card',
    '-----BEGIN CERTIFICATE-----',
    '-----BEGIN PUBLIC KEY-----',
    'https://example.com:8443/path@version?x=a:b@c',
    '"eyJhbGciOiJIUzI1NiJ9"',
    'XAKIAIOSFODNN7EXAMPLEX',
    '2026-11-26T12:00:00Z user@example.com',
  ])('is let through: %s', (text) => expect(named(text)).toBeUndefined());
});

describe('the search', () => {
  /** Texts that make careless expressions try again from each place. */
  const hostile = [
    'eyJ',
    'eyJa',
    'eyJaaaaaaaaaa.',
    '-----BEGIN ',
    'A ',
    '"password":',
    'a',
    'bearer ',
    'http://a:',
    '://',
    'a+',
    'AKIA',
    'x:',
    ' ',
    '"',
  ];

  it('takes about the same for whatever it is given', () => {
    // Steps are not to be counted; a search that is not linear would not end within the deadline of a test.
    for (const unit of hostile) findSensitive(Buffer.from(unit.repeat(SCANNED_BYTES)));
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...hostile), { minLength: 1, maxLength: 6 }), (units) => {
        findSensitive(Buffer.from(units.join('').repeat(SCANNED_BYTES)));
      }),
      { numRuns: 20 },
    );
  });

  it('looks at the beginning alone', () => {
    const secret = '-----BEGIN PRIVATE KEY-----';
    expect(named(`${' '.repeat(SCANNED_BYTES - secret.length)}${secret}`)).toBe('private-key');
    expect(named(`${' '.repeat(SCANNED_BYTES)}${secret}`)).toBeUndefined();
  });

  it('keeps no place between two searches', () => {
    for (const { expression } of SENSITIVE_PATTERNS)
      expect(expression.global || expression.sticky).toBe(false);
  });
});
