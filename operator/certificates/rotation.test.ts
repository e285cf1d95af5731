import { X509Certificate } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  AUTHORITY_DAYS,
  type Authority,
  bundleOf,
  newServing,
  rotateAuthorities,
  SERVING_DAYS,
  SPREAD_DAYS,
  signerOf,
  validityOf,
  whyRenew,
} from './rotation.ts';

const DAY_MS = 86_400_000;
const START = new Date('2026-01-01T00:00:00Z');
const day = (n: number) => new Date(START.getTime() + n * DAY_MS);
const NAMES = ['edgecache-east', 'edgecache-east.shop.svc'];
/** Two thirds of 730 days and an hour, less the hour that it is dated back. */
const DUE_DAY = (AUTHORITY_DAYS * 2) / 3;

describe('authorities', () => {
  const first = rotateAuthorities([], START);

  test('begin with one, that signs at once', () => {
    expect(first).toHaveLength(1);
    expect(signerOf(first, START).certificate).toBe(first[0]?.certificate);
    expect(validityOf(first[0]?.certificate ?? '').notAfter).toEqual(day(AUTHORITY_DAYS));
  });

  test('stay the very same while nothing is due', () => {
    expect(rotateAuthorities(first, day(1))).toBe(first);
    expect(rotateAuthorities(first, day(DUE_DAY - 1))).toBe(first);
  });

  test('change over by being trusted first, signing then, and leaving last', () => {
    const both = rotateAuthorities(first, day(DUE_DAY));
    expect(both).toHaveLength(2);
    const [old, young] = both;
    expect(signerOf(both, day(DUE_DAY)).certificate).toBe(old?.certificate);
    expect(bundleOf(both)).toContain(young?.certificate);

    const last = day(DUE_DAY + SPREAD_DAYS - 1);
    expect(rotateAuthorities(both, last)).toBe(both);
    expect(signerOf(both, last).certificate).toBe(old?.certificate);

    const over = day(DUE_DAY + SPREAD_DAYS);
    const after = rotateAuthorities(both, over);
    expect(signerOf(after, over).certificate).toBe(young?.certificate);
    expect(after[0]).toEqual({ certificate: old?.certificate }); // trusted still, but its key is gone
    expect(rotateAuthorities(after, day(AUTHORITY_DAYS - 1))).toBe(after);
    expect(rotateAuthorities(after, day(AUTHORITY_DAYS)).map((a) => a.certificate)).toEqual([
      young?.certificate,
    ]);
  });

  test('begin anew where all have ended while nobody looked', () => {
    const late = day(AUTHORITY_DAYS + 100);
    const anew = rotateAuthorities(first, late);
    expect(anew).toHaveLength(1);
    expect(signerOf(anew, late).certificate).not.toBe(first[0]?.certificate);
  });

  test('at every look of ten years, an agent shows only what clients knew a month before', () => {
    const told = new Map<string, number>();
    let authorities: readonly Authority[] = [];
    for (let n = 0; n < 3_650; n += 5) {
      authorities = rotateAuthorities(authorities, day(n));
      for (const { certificate } of authorities) if (!told.has(certificate)) told.set(certificate, n);
      const signer = signerOf(authorities, day(n));
      const since = told.get(signer.certificate) ?? n;
      expect(since === 0 || n - since >= SPREAD_DAYS).toBe(true);
      expect(bundleOf(authorities)).toContain(signer.certificate);
      // Whatever it signs now can be renewed in time, and verified until then.
      expect(validityOf(signer.certificate).notAfter.getTime()).toBeGreaterThan(
        day(n + SERVING_DAYS).getTime(),
      );
      expect(authorities.length).toBeLessThanOrEqual(2);
    }
    expect(told.size).toBeGreaterThan(5);
  }, 30_000);
});

describe('a certificate', () => {
  const signer = signerOf(rotateAuthorities([], START), START);
  const serving = newServing(signer, NAMES, START);
  const why = (now: Date, current: object = serving, names = NAMES, by = signer) =>
    whyRenew(current, by, names, now);

  test('is good until two thirds of its life', () => {
    expect(why(START)).toBeUndefined();
    expect(why(day((SERVING_DAYS * 2) / 3 - 1))).toBeUndefined();
    expect(why(day((SERVING_DAYS * 2) / 3))).toBe('two thirds of its life are over');
  });

  test('is made anew for every reason that there is', () => {
    const other = signerOf(rotateAuthorities([], START), START);
    expect(why(START, {})).toBe('there is none');
    expect(why(START, { certificate: 'x', key: serving.key })).toBe('there is none');
    expect(why(START, { certificate: serving.certificate })).toBe('its key is missing or another’s');
    expect(why(START, { ...serving, key: other.key })).toBe('its key is missing or another’s');
    expect(why(START, serving, [...NAMES, 'more'])).toBe('its names have changed');
    expect(why(START, serving, NAMES, other)).toBe('another authority signs now');
  });

  test('does not outlive its authority', () => {
    const late = newServing(signer, NAMES, day(AUTHORITY_DAYS - 10));
    expect(new X509Certificate(late.certificate).validToDate).toEqual(day(AUTHORITY_DAYS));
  });
});
