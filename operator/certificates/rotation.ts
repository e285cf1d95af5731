import { createPrivateKey, X509Certificate } from 'node:crypto';
import { issueAuthority, issueServing, type KeyPair } from './issue.ts';

const DAY_MS = 86_400_000;
/** Clocks of clients may be behind. */
const BACKDATE_MS = 3_600_000;

export const AUTHORITY_DAYS = 730;
/** How long a new authority is only trusted, before it signs: for who has copied the old one somewhere. */
export const SPREAD_DAYS = 30;
/** Renewed after 60 days, so that an operator may be away for a month. */
export const SERVING_DAYS = 90;

/** Authorities, the oldest first. One that signs no more has no key. */
export interface Authority {
  readonly certificate: string;
  readonly key?: string;
}

/**
 * The authorities that there are to be at a moment. A new one is made when the newest has used two thirds of its life;
 * for its first month it is only told to clients; from then on it signs, and the one before it is only trusted still,
 * until its end. So there is no moment at which an agent shows what a client cannot know yet. Pure, save for the key.
 */
export function rotateAuthorities(before: readonly Authority[], now: Date): readonly Authority[] {
  const valid = before.filter((authority) => validityOf(authority.certificate).notAfter > now);
  const newest = valid.at(-1);
  const isDue = newest?.key === undefined || isPastTwoThirds(newest.certificate, now);
  const all = isDue ? [...valid, newAuthority(now)] : valid;
  const { certificate: signing } = signerOf(all, now);
  const signer = all.findIndex(({ certificate }) => certificate === signing);
  const after = all.map((authority, index) =>
    index < signer ? { certificate: authority.certificate } : authority,
  );
  return after.length === before.length && after.every((one, i) => one.key === before[i]?.key)
    ? before
    : after;
}

/** The newest that clients have had time to hear of; where there is none, the oldest that has a key. */
export function signerOf(authorities: readonly Authority[], now: Date): KeyPair {
  const able = authorities.flatMap(({ certificate, key }) =>
    key === undefined ? [] : [{ certificate, key }],
  );
  const spread = able.filter(
    ({ certificate }) => now.getTime() - madeAt(certificate) >= SPREAD_DAYS * DAY_MS,
  );
  const signer = spread.at(-1) ?? able[0];
  if (signer === undefined) throw new Error('no authority has a key; rotate them first');
  return signer;
}

/** What clients are to trust. */
export function bundleOf(authorities: readonly Authority[]): string {
  return authorities.map(({ certificate }) => certificate).join('');
}

/** A certificate for an agent, which does not outlive its authority. */
export function newServing(signer: KeyPair, names: readonly string[], now: Date): KeyPair {
  const end = Math.min(
    now.getTime() + SERVING_DAYS * DAY_MS,
    validityOf(signer.certificate).notAfter.getTime(),
  );
  return issueServing(signer, names, { notBefore: backdated(now), notAfter: new Date(end) });
}

/** Why a certificate is to be made anew; undefined: it is good. */
export function whyRenew(
  current: Partial<KeyPair>,
  signer: KeyPair,
  names: readonly string[],
  now: Date,
): string | undefined {
  const certificate = readCertificate(current.certificate);
  if (certificate === undefined) return 'there is none';
  if (!isKeyOf(certificate, current.key)) return 'its key is missing or another’s';
  if (!certificate.verify(new X509Certificate(signer.certificate).publicKey))
    return 'another authority signs now';
  if (certificate.subjectAltName !== names.map((name) => `DNS:${name}`).join(', '))
    return 'its names have changed';
  if (isPastTwoThirds(certificate.toString(), now)) return 'two thirds of its life are over';
  return undefined;
}

export function validityOf(certificate: string): { notBefore: Date; notAfter: Date } {
  const { validFromDate: notBefore, validToDate: notAfter } = new X509Certificate(certificate);
  return { notBefore, notAfter };
}

function newAuthority(now: Date): Authority {
  const notAfter = new Date(now.getTime() + AUTHORITY_DAYS * DAY_MS);
  // The date tells two authorities apart, for people and for who looks an issuer up by its name.
  const name = `edgecache agents ${now.toISOString().slice(0, 19)}Z`;
  return issueAuthority(name, { notBefore: backdated(now), notAfter });
}

function isPastTwoThirds(certificate: string, now: Date): boolean {
  const { notBefore, notAfter } = validityOf(certificate);
  const life = notAfter.getTime() - notBefore.getTime();
  return now.getTime() - notBefore.getTime() >= (life * 2) / 3;
}

const backdated = (now: Date): Date => new Date(now.getTime() - BACKDATE_MS);
const madeAt = (certificate: string): number => validityOf(certificate).notBefore.getTime() + BACKDATE_MS;

/** Undefined: the text is no certificate. */
export function readCertificate(pem: string | undefined): X509Certificate | undefined {
  try {
    return pem === undefined ? undefined : new X509Certificate(pem);
  } catch {
    return undefined; // somebody's text
  }
}

function isKeyOf(certificate: X509Certificate, key: string | undefined): boolean {
  try {
    return key !== undefined && certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}
