import { describe, expect, it } from 'vitest';
import { encodeToken, InvalidTokenError, tokenVersion } from './token.ts';

describe('a token', () => {
  it('gives each partition the version that it was made with', () => {
    const token = encodeToken(
      new Map([
        [0, '5-0'],
        [12, '6-1.2'],
      ]),
    );
    expect(tokenVersion(token, 0)).toBe('5-0');
    expect(tokenVersion(token, 12)).toBe('6-1.2');
    expect(tokenVersion(token, 1)).toBeUndefined();
  });

  it.each(['', 'x', '1.', '1.0@', '1.0@x', '2.0@1-0', '1.0@1-0,', '1.a@1-0'])('refuses %j', (token) => {
    expect(() => tokenVersion(token, 0)).toThrow(InvalidTokenError);
  });
});
