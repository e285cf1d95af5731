import { describe, expect, it } from 'vitest';
import { parseTokens } from '../../api/port-auth.ts';
import { certificateOf } from './identity.ts';
import { PortAuthenticator } from './port-authenticator.ts';
import { digestOf, StaticTokens } from './static-tokens.ts';

const valid_to = 'Jan  1 00:00:00 2030 GMT';
const nameOf = (peer: Parameters<typeof certificateOf>[0]) => certificateOf(peer)?.name;

describe('the name of a certificate', () => {
  it('is the common name, else the first URI, else the first DNS name', () => {
    expect(nameOf({ subject: { CN: 'app' }, subjectaltname: 'DNS:x', valid_to })).toBe('app');
    expect(nameOf({ subject: {}, subjectaltname: 'DNS:x, URI:spiffe://c/ns/a/sa/b', valid_to })).toBe(
      'spiffe://c/ns/a/sa/b',
    );
    expect(nameOf({ subjectaltname: 'IP Address:10.0.0.1, DNS:x, DNS:y', valid_to })).toBe('x');
    expect(nameOf({ subjectaltname: 'IP Address:10.0.0.1', valid_to })).toBeUndefined();
  });

  it('is none that could pass for two', () => {
    for (const CN of [['a', 'b'], 'a,b', 'a"b', 'a\nb', '', 'x'.repeat(300)])
      expect(nameOf({ subject: { CN }, valid_to })).toBeUndefined();
    expect(nameOf({ subjectaltname: 'DNS:"a, URI:spiffe://admin"', valid_to })).toBeUndefined();
  });
});

describe('a list of tokens', () => {
  const long = 'c2VjcmV0LXRva2VuLTEyMw==';

  it('has names where they are given, and base64 is no name', () => {
    expect(parseTokens(`app=${long}, ${long}`, ',', 'X')).toEqual([
      { name: 'app', token: long },
      { name: 'default', token: long },
    ]);
    expect(parseTokens(`# old\napp=${long}\n\napp=another-token-of-it\n`, '\n', 'X')).toHaveLength(2);
  });

  it('is refused without repeating a token', () => {
    for (const [text, remedy] of [
      ['short', /5 characters as token 1; must be 16/],
      ['app=has a space in it, which no token has', /must be 16/],
      ['', /must hold at least one/],
    ] as const) {
      expect(() => parseTokens(text, ',', 'CACHE_AUTH_TOKEN')).toThrow(remedy);
      expect(() => parseTokens(text, ',', 'CACHE_AUTH_TOKEN')).not.toThrow(/short|space in/);
    }
  });
});

describe('a caller', () => {
  const tokens = new StaticTokens(parseTokens('a=aaaaaaaaaaaaaaaa,b=bbbbbbbbbbbbbbbb', ',', 'X'));
  const authenticator = (required: boolean) =>
    new PortAuthenticator({ required, tokens, reviews: undefined, now: () => 1_000, wallClock: () => 5_000 });
  const certificate = { name: 'app', endsAt: 6_000 };

  it('is known by its token before its certificate', () => {
    const { identify } = {
      identify: (shown: object) =>
        authenticator(true).identify({ authorization: undefined, certificate, ...shown }),
    };
    expect(identify({ authorization: 'Bearer bbbbbbbbbbbbbbbb' })).toMatchObject({ name: 'token:b' });
    expect(identify({})).toEqual({ name: 'cert:app', expiresAt: 2_000 });
    for (const authorization of [
      'Bearer bbbbbbbbbbbbbbbc',
      'bbbbbbbbbbbbbbbb',
      'Basic x',
      '',
      'Bearer a and Bearer b',
    ])
      expect(() => identify({ authorization })).toThrow();
    expect(() => identify({ certificate: { name: 'app', endsAt: 5_000 } })).toThrow('has ended');
  });

  it('who shows nothing is refused, unless nobody need be known', () => {
    const nothing = { authorization: undefined, certificate: undefined };
    expect(() => authenticator(true).identify(nothing)).toThrow('no token');
    expect(authenticator(false).identify(nothing)).toMatchObject({ name: 'anonymous' });
  });

  it('whose token was taken away is not known any more', () => {
    const some = new StaticTokens(parseTokens('aaaaaaaaaaaaaaaa', ',', 'X'));
    expect(some.find(digestOf('aaaaaaaaaaaaaaaa'))).toBeDefined();
    some.replace([]);
    expect(some.find(digestOf('aaaaaaaaaaaaaaaa'))).toBeUndefined();
  });
});
