import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { messageOf } from '../errors.ts';

/** What the port shows, and what it verifies clients by. */
export interface PortCertificates {
  readonly context: SecureContextOptions;
  /** Milliseconds since 1970. */
  readonly endsAt: number;
  /** Of the authority that ends first; undefined where clients are not verified. */
  readonly authoritiesEndAt: number | undefined;
}

export interface CertificateFiles {
  readonly certificate?: Buffer | undefined;
  readonly key?: Buffer | undefined;
  readonly authorities?: Buffer | undefined;
}

/** 1.3 is what today's clients take; 1.2 is what others still need. */
const MIN_VERSION = 'TLSv1.2';
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** Checks that the files are what they should be, and belong together. @throws Error naming the setting at fault */
export function readCertificates({ certificate, key, authorities }: CertificateFiles): PortCertificates {
  const [own] = certificatesIn(certificate, 'certFile (CACHE_TLS_CERT_FILE)');
  const privateKey = keyIn(key);
  if (own === undefined || !own.checkPrivateKey(privateKey))
    throw new Error(
      'keyFile (CACHE_TLS_KEY_FILE) is not the key of the first certificate in certFile (CACHE_TLS_CERT_FILE); both must be replaced together',
    );
  const trusted = authorities === undefined ? [] : certificatesIn(authorities, 'caFile (CACHE_TLS_CA_FILE)');
  const context: SecureContextOptions = {
    cert: certificate,
    key,
    ...(authorities === undefined ? {} : { ca: authorities }),
    minVersion: MIN_VERSION,
  };
  // OpenSSL has the last word, such as on keys that are too weak.
  createSecureContext(context);
  return {
    context,
    endsAt: Date.parse(own.validTo),
    authoritiesEndAt:
      trusted.length === 0 ? undefined : Math.min(...trusted.map(({ validTo }) => Date.parse(validTo))),
  };
}

function certificatesIn(pem: Buffer | undefined, setting: string): X509Certificate[] {
  const blocks = pem?.toString('latin1').match(PEM_CERTIFICATE) ?? [];
  if (blocks.length === 0) throw new Error(`${setting} has no certificate in PEM`);
  return blocks.map((block) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw new Error(`${setting} has a certificate that cannot be read: ${messageOf(error)}`, {
        cause: error,
      });
    }
  });
}

function keyIn(pem: Buffer | undefined): KeyObject {
  try {
    return createPrivateKey(pem ?? '');
  } catch (error) {
    // What OpenSSL says holds nothing of the key itself.
    throw new Error(
      `keyFile (CACHE_TLS_KEY_FILE) has no private key in PEM without a passphrase: ${messageOf(error)}`,
      { cause: error },
    );
  }
}
