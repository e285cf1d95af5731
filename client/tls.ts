import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { checkServerIdentity, createSecureContext, rootCertificates } from 'node:tls';
import { type ChannelCredentials, type ClientOptions, experimental } from '@grpc/grpc-js';
import { EdgeCacheError } from './errors.ts';

/** Certificates as PEM, given or by path. Files are read again as they change, for connections made from then on. */
export interface ClientTlsOptions {
  /** Authorities that agents are verified by. Default: those that Node knows. */
  readonly ca?: string | Buffer;
  readonly caFile?: string;
  /** Own certificate and key, for agents that ask for one. */
  readonly cert?: string | Buffer;
  readonly certFile?: string;
  readonly key?: string | Buffer;
  readonly keyFile?: string;
  /** Name that agents' certificates must have. Default: the host of the address. */
  readonly serverName?: string;
}

interface Pem {
  readonly ca: Buffer;
  readonly cert: Buffer | undefined;
  readonly key: Buffer | undefined;
}

const REREAD_MS = 5_000;
const BUILT_IN = Buffer.from(rootCertificates.join('\n'));

/** Sent in place of an IP address, which may not be sent; agents have one certificate, whatever they are called. */
const NAMELESS = 'edgecache-agent';

/** TLS to agents, with certificates that may be replaced under way. */
export class ClientTls {
  readonly #serverName: string | undefined;
  readonly #certificates: Certificates;

  /** @throws EdgeCacheError EC_CLIENT_ACCESS */
  constructor(options: ClientTlsOptions) {
    this.#serverName = options.serverName;
    this.#certificates = new Certificates(options);
  }

  /** @param address host:port */
  credentialsOf(address: string): ChannelCredentials {
    const name = this.#serverName ?? hostOf(address);
    const identity = this.#certificates.hasIdentity ? this.#certificates : null;
    return experimental.createCertificateProviderChannelCredentials(this.#certificates, identity, {
      // What grpc-js passes is what was sent, which for an IP address is not the name to look for.
      checkServerIdentity: (_sent, certificate) => checkServerIdentity(name, certificate),
    });
  }

  channelOptionsOf(address: string): ClientOptions {
    const name = this.#serverName ?? hostOf(address);
    if (isIP(name) !== 0) return { 'grpc.ssl_target_name_override': NAMELESS };
    return { 'grpc.ssl_target_name_override': name, 'grpc.default_authority': name };
  }

  close(): void {
    this.#certificates.close();
  }
}

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '');
}

type CaListener = experimental.CaCertificateUpdateListener;
type IdentityListener = experimental.IdentityCertificateUpdateListener;

/** Tells grpc-js of certificates, and of those that they are replaced by, once it is known that they can be used. */
class Certificates implements experimental.CertificateProvider {
  readonly #options: ClientTlsOptions;
  readonly #caListeners = new Set<CaListener>();
  readonly #identityListeners = new Set<IdentityListener>();
  readonly #timer: NodeJS.Timeout | undefined;
  #present: Pem;

  constructor(options: ClientTlsOptions) {
    this.#options = options;
    checkOptions(options);
    const { ca, caFile, cert, certFile, key, keyFile } = options;
    try {
      this.#present = checked({
        ca: read(ca, caFile) ?? BUILT_IN,
        cert: read(cert, certFile),
        key: read(key, keyFile),
      });
    } catch (error) {
      throw unusable(error instanceof Error ? error.message : String(error), error);
    }
    if (caFile === undefined && certFile === undefined && keyFile === undefined) return;
    this.#timer = setInterval(() => void this.#look(), REREAD_MS);
    this.#timer.unref();
  }

  get hasIdentity(): boolean {
    return this.#present.cert !== undefined;
  }

  // Listeners are told later: grpc-js is not done with adding one before.
  addCaCertificateListener(listener: CaListener): void {
    this.#caListeners.add(listener);
    process.nextTick(() => this.#tellCa(listener));
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.#caListeners.delete(listener);
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.add(listener);
    process.nextTick(() => this.#tellIdentity(listener));
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.delete(listener);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const { ca, caFile, cert, certFile, key, keyFile } = this.#options;
    try {
      const next = checked({
        ca: (await readAgain(ca, caFile)) ?? BUILT_IN,
        cert: await readAgain(cert, certFile),
        key: await readAgain(key, keyFile),
      });
      if (isSame(next, this.#present)) return;
      this.#present = next;
      for (const listener of this.#caListeners) this.#tellCa(listener);
      for (const listener of this.#identityListeners) this.#tellIdentity(listener);
    } catch {
      // What is being replaced may not fit together for a moment. The one before goes on being used, and a connection that
      // it no longer makes says why.
    }
  }

  #tellCa(listener: CaListener): void {
    listener({ caCertificate: this.#present.ca });
  }

  #tellIdentity(listener: IdentityListener): void {
    const { cert, key } = this.#present;
    listener(cert === undefined || key === undefined ? null : { certificate: cert, privateKey: key });
  }
}

function checkOptions({ ca, caFile, cert, certFile, key, keyFile }: ClientTlsOptions): void {
  for (const [name, given, file] of [
    ['ca', ca, caFile],
    ['cert', cert, certFile],
    ['key', key, keyFile],
  ] as const)
    if (given !== undefined && file !== undefined)
      throw unusable(`tls.${name} and tls.${name}File may not be given together; remove one of the two`);
  if ((cert ?? certFile) === undefined && (key ?? keyFile) === undefined) return;
  if ((cert ?? certFile) === undefined)
    throw unusable('tls.key needs tls.cert, the certificate that it is of');
  if ((key ?? keyFile) === undefined) throw unusable('tls.cert needs tls.key, its private key');
}

/** @throws Error where they cannot be used, or do not belong together */
function checked({ ca, cert, key }: Pem): Pem {
  new X509Certificate(ca);
  createSecureContext({ ca, cert, key });
  return { ca, cert, key };
}

function unusable(message: string, cause?: unknown): EdgeCacheError {
  return new EdgeCacheError('EC_CLIENT_ACCESS', `the TLS options cannot be used: ${message}`, false, {
    cause,
  });
}

function read(given: string | Buffer | undefined, file: string | undefined): Buffer | undefined {
  if (given !== undefined) return Buffer.from(given);
  return file === undefined ? undefined : readFileSync(file);
}

async function readAgain(
  given: string | Buffer | undefined,
  file: string | undefined,
): Promise<Buffer | undefined> {
  return file === undefined ? read(given, undefined) : readFile(file);
}

function isSame(one: Pem, other: Pem): boolean {
  const same = (a: Buffer | undefined, b: Buffer | undefined) =>
    a === undefined || b === undefined ? a === b : a.equals(b);
  return same(one.ca, other.ca) && same(one.cert, other.cert) && same(one.key, other.key);
}
