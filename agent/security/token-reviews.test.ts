import { pino } from 'pino';
import { beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from './static-tokens.ts';
import { type ReviewedUser, TokenReviews } from './token-reviews.ts';

const NOW = Date.UTC(2026, 0, 1);
const tokenOf = (name: string, exp?: number) =>
  `h.${Buffer.from(JSON.stringify({ sub: name, exp })).toString('base64url')}.s`;

let time: number;
let asked: string[];
let answer: (token: string) => Promise<ReviewedUser | undefined>;
let reviews: TokenReviews;
beforeEach(() => {
  time = 0;
  asked = [];
  answer = async () => ({ username: 'system:serviceaccount:shop:web' });
  reviews = new TokenReviews({
    review: (token) => {
      asked.push(token);
      return answer(token);
    },
    now: () => time,
    wallClock: () => NOW + time,
    log: pino({ level: 'silent' }),
  });
});
const identify = async (token = tokenOf('web')) => (await reviews.identify(token, digestOf(token))).name;
const drained = () => new Promise((resolve) => setImmediate(resolve));

describe('reviews of tokens', () => {
  it('are made once for all who ask at the same time, and remembered', async () => {
    const names = await Promise.all([identify(), identify(), identify()]);
    expect(new Set(names)).toEqual(new Set(['serviceaccount:shop/web']));
    time = 50_000;
    await identify();
    expect(asked).toHaveLength(1);
  });

  it('are made anew in the background before they end, and outlive an API server that is away', async () => {
    await identify();
    time = 61_000;
    answer = () => Promise.reject(new Error('connect ECONNREFUSED'));
    await identify();
    await drained();
    expect(asked).toHaveLength(2);
    time = 119_000;
    expect(await identify()).toBe('serviceaccount:shop/web');
    await drained();
    time = 121_000;
    await expect(identify()).rejects.toMatchObject({ code: 'EC_AUTH_UNAVAILABLE' });
    answer = async () => ({ username: 'system:serviceaccount:shop:web' });
    expect(await identify()).toBe('serviceaccount:shop/web');
  });

  it('that say no are remembered for a shorter time', async () => {
    answer = async () => undefined;
    await expect(identify()).rejects.toMatchObject({ code: 'EC_UNAUTHENTICATED' });
    time = 9_000;
    await expect(identify()).rejects.toMatchObject({ code: 'EC_UNAUTHENTICATED' });
    expect(asked).toHaveLength(1);
    time = 11_000;
    await expect(identify()).rejects.toMatchObject({ code: 'EC_UNAUTHENTICATED' });
    expect(asked).toHaveLength(2);
  });

  it('hold no longer than the token itself', async () => {
    const token = tokenOf('web', NOW / 1000 + 30);
    await identify(token);
    time = 31_000;
    answer = async () => undefined;
    await expect(identify(token)).rejects.toMatchObject({ code: 'EC_UNAUTHENTICATED' });
  });

  it('take ServiceAccounts alone', async () => {
    for (const username of [
      'admin',
      'system:serviceaccount:a',
      'system:serviceaccount:a:b:c',
      'x:system:serviceaccount:a:b',
    ]) {
      answer = async () => ({ username });
      await expect(identify(tokenOf(username))).rejects.toMatchObject({ code: 'EC_UNAUTHENTICATED' });
    }
  });

  it('are not made of what is no such token, nor without end', async () => {
    for (const token of ['no-token', 'a.b', `a.${'b'.repeat(20_000)}.c`])
      await expect(identify(token)).rejects.toMatchObject({ code: 'EC_UNAUTHENTICATED' });
    expect(asked).toHaveLength(0);
    answer = async () => undefined;
    for (let i = 0; i < 100; i += 1) await identify(tokenOf(`made-up-${i}`)).catch(() => undefined);
    await expect(identify(tokenOf('one more'))).rejects.toMatchObject({ code: 'EC_AUTH_UNAVAILABLE' });
    expect(asked).toHaveLength(100);
    time = 1_000;
    await expect(identify(tokenOf('later'))).rejects.toMatchObject({ code: 'EC_UNAUTHENTICATED' });
    expect(reviews.counters).toEqual({ yes: 0, no: 101, failed: 0, limited: 1 });
  });

  it('remember a bounded number', async () => {
    answer = async () => undefined;
    for (let i = 0; i < 10_050; i += 1) {
      time += 20;
      await identify(tokenOf(`made-up-${i}`)).catch(() => undefined);
    }
    expect(reviews.size).toBeLessThanOrEqual(10_000);
  });
});
