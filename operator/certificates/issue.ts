import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import * as der from './der.ts';

/** A certificate and its key, as PEM: what files and Secrets hold. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

const OID = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
} as const;

const ORGANIZATION = 'Edge Cache';
const algorithm = (): Buffer => der.sequence(der.objectId(OID.ecdsaWithSha256));

/** An authority that signs certificates of agents, and no further authorities. */
export function issueAuthority(commonName: string, validity: Validity): KeyPair {
  const { publicKey, privateKey } = newKeys();
  const name = nameOf(commonName);
  const extensions = [
    extension(OID.basicConstraints, der.sequence(der.yes(), der.integer(Buffer.from([0]))), 'critical'),
    // keyCertSign and cRLSign: bits 5 and 6.
    extension(OID.keyUsage, der.bitString(Buffer.from([0x06]), 1), 'critical'),
    extension(OID.subjectKeyIdentifier, der.octets(keyIdOf(publicKey))),
  ];
  return signed({ subject: name, issuer: name, publicKey, validity, extensions }, privateKey, privateKey);
}

/** A certificate for a server of these names, the first of which is the one that people see. */
export function issueServing(authority: KeyPair, names: readonly string[], validity: Validity): KeyPair {
  const { publicKey, privateKey } = newKeys();
  const issuer = createPrivateKey(authority.key);
  const extensions = [
    extension(OID.basicConstraints, der.sequence(), 'critical'),
    // digitalSignature: bit 0. With elliptic curves TLS needs no other.
    extension(OID.keyUsage, der.bitString(Buffer.from([0x80]), 7), 'critical'),
    extension(OID.extendedKeyUsage, der.sequence(der.objectId(OID.serverAuth))),
    extension(
      OID.subjectAltName,
      der.sequence(...names.map((name) => der.implicit(2, Buffer.from(name, 'ascii')))),
    ),
    extension(OID.subjectKeyIdentifier, der.octets(keyIdOf(publicKey))),
    extension(
      OID.authorityKeyIdentifier,
      der.sequence(der.implicit(0, keyIdOf(new X509Certificate(authority.certificate).publicKey))),
    ),
  ];
  const issuerName = nameOf(commonNameOf(authority.certificate));
  return signed(
    { subject: nameOf(names[0] ?? ''), issuer: issuerName, publicKey, validity, extensions },
    issuer,
    privateKey,
  );
}

interface Wanted {
  readonly subject: Buffer;
  readonly issuer: Buffer;
  readonly publicKey: KeyObject;
  readonly validity: Validity;
  readonly extensions: readonly Buffer[];
}

function signed(wanted: Wanted, issuer: KeyObject, own: KeyObject): KeyPair {
  const { subject, publicKey, validity, extensions } = wanted;
  const body = der.sequence(
    der.explicit(0, der.integer(Buffer.from([2]))), // version 3
    der.integer(randomBytes(16)),
    algorithm(),
    wanted.issuer,
    der.sequence(der.time(validity.notBefore), der.time(validity.notAfter)),
    subject,
    publicKey.export({ format: 'der', type: 'spki' }),
    der.explicit(3, der.sequence(...extensions)),
  );
  const signature = sign('sha256', body, issuer);
  const certificate = new X509Certificate(der.sequence(body, algorithm(), der.bitString(signature)));
  return {
    certificate: certificate.toString(),
    key: own.export({ format: 'pem', type: 'pkcs8' }).toString(),
  };
}

function newKeys(): { publicKey: KeyObject; privateKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

function extension(id: string, value: Buffer, critical?: 'critical'): Buffer {
  return der.sequence(der.objectId(id), ...(critical === undefined ? [] : [der.yes()]), der.octets(value));
}

function nameOf(commonName: string): Buffer {
  const attribute = (id: string, text: string) => der.set(der.sequence(der.objectId(id), der.utf8(text)));
  return der.sequence(attribute(OID.organization, ORGANIZATION), attribute(OID.commonName, commonName));
}

/** Of an authority of our own, so that the name of the issuer is the same to the byte. */
function commonNameOf(certificate: string): string {
  const line = new X509Certificate(certificate).subject.split('\n').find((part) => part.startsWith('CN='));
  return line?.slice('CN='.length) ?? '';
}

/** RFC 7093, method 1: the first 160 bits of SHA-256 over the key itself, which for P-256 are the last 65 bytes. */
function keyIdOf(publicKey: KeyObject): Buffer {
  const point = publicKey.export({ format: 'der', type: 'spki' }).subarray(-65);
  return createHash('sha256').update(point).digest().subarray(0, 20);
}
