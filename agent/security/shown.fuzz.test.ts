import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidInputError } from '../../api/errors.ts';
import { parseTokens } from '../../api/port-auth.ts';
import { damaged, FUZZ, orRefusal } from '../../test/support/fuzz.ts';
import { AgentError } from '../errors.ts';
import { certificateOf } from './identity.ts';
import { PortAuthenticator } from './port-authenticator.ts';
import { StaticTokens } from './static-tokens.ts';

const TOKEN = 'a-token-of-the-agent-0123456789';
const authenticator = new PortAuthenticator({
  required: true,
  tokens: new StaticTokens([{ name: 'ci', token: TOKEN }]),
  reviews: undefined,
  now: () => 0,
  wallClock: () => 0,
});

describe('the header authorization', () => {
  it('names the token’s owner or is refused, and nothing but the token itself will do', () => {
    const header = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      damaged(fc.constant(Buffer.from(`Bearer ${TOKEN}`))).map((bytes) => bytes.toString('latin1')),
    );
    const property = fc.property(header, (authorization) => {
      const identity = orRefusal(
        () => authenticator.identify({ authorization, certificate: undefined }),
        (error) => error instanceof AgentError && error.code === 'EC_UNAUTHENTICATED',
      );
      if (identity !== undefined) expect(authorization.replace(/^bearer /i, '')).toBe(TOKEN);
    });
    fc.assert(property, FUZZ);
  });

  it('is never read for longer than its length deserves', () => {
    for (const authorization of [`Bearer ${'a'.repeat(1e6)}`, ' '.repeat(1e6), `Bearer ${' '.repeat(1e6)}x`])
      expect(() => authenticator.identify({ authorization, certificate: undefined })).toThrow(AgentError);
  });
});

describe('a list of tokens', () => {
  it('is taken or refused, and a refusal never repeats a token', () => {
    const secret = 'not/to=be,repeated#';
    const part = fc.oneof(
      fc.constantFrom(`ci=${TOKEN}`, TOKEN, secret, `x=${secret}`, '# comment', '', '='),
      fc.string({ maxLength: 30 }),
    );
    const list = fc.tuple(fc.array(part, { maxLength: 6 }), fc.constantFrom(',' as const, '\n' as const));
    const property = fc.property(list, ([parts, separator]) => {
      const tokens = orRefusal(
        () => parseTokens(parts.join(separator), separator, 'the list'),
        (error) => {
          expect(String(error)).not.toContain(secret);
          return error instanceof InvalidInputError;
        },
      );
      for (const { name, token } of tokens ?? []) expect([name, token.length >= 16]).toEqual([name, true]);
    });
    fc.assert(property, FUZZ);
  });
});

describe('a certificate', () => {
  it('has a name that cannot be taken for another, or none', () => {
    const text = fc.oneof(
      fc.string(),
      fc.constantFrom('DNS:a', 'URI:spiffe://x/y, DNS:b', 'token:ci', 'a, DNS:b'),
    );
    const peer = fc.record(
      {
        subject: fc.record({ CN: fc.oneof(text, fc.array(text, { maxLength: 2 })) }, { requiredKeys: [] }),
        subjectaltname: text,
        valid_to: fc.oneof(fc.constant('Nov 26 13:24:20 2030 GMT'), fc.string()),
      },
      { requiredKeys: ['valid_to'] },
    );
    const property = fc.property(peer, (names) => {
      const found = certificateOf(names);
      if (found === undefined) return;
      expect(found.name).toMatch(/^[\x20-\x7e]{1,256}$/);
      expect(found.name).not.toMatch(/[",]/);
      expect(Number.isNaN(found.endsAt)).toBe(false);
    });
    fc.assert(property, FUZZ);
  });
});
