import { describe, expect, it } from 'vitest';
import { encodeToken, InvalidTokenError, minimumOf } from './token.ts';

describe('a token', () => {
  it('gives each partition the version that it was made with', () => {
    const token = encodeToken(
      new Map([
        [0, '5-0'],
        [12, '6-1.2'],
      ]),
    );
    expect(minimumOf(token, 0)).toEqual({ version: '5-0', event: '' });
    expect(minimumOf(token, 12).version).toBe('6-1.2');
    expect(minimumOf(token, 1)).toEqual({ version: '', event: '' });
  });

  it('names the event of a part that was queued', () => {
    expect(minimumOf(encodeToken(new Map(), [3], 'e1'), 3)).toEqual({ version: '', event: 'e1' });
  });

  it.each(['x', '1.', '1.0@', '1.0@x', '2.0@1-0', '1.0@1-0,', '1.a@1-0', '1.0@?', '1.0@?a b'])(
    'refuses %j',
    (token) => {
      expect(() => minimumOf(token, 0)).toThrow(InvalidTokenError);
    },
  );
});
