import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from './children.ts';

export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** Paths of PEM files that are gone when this process ends. */
export interface Certificates {
  readonly ca: string;
  readonly server: KeyPair;
  readonly client: KeyPair;
}

export interface CertificatesOptions {
  /** Whom the server's certificate names. Default: this machine, by name and by address. */
  readonly serverNames?: readonly string[];
}

const THIS_MACHINE = ['DNS:localhost', 'IP:127.0.0.1'];

/** An authority, and certificates of a server and a client that it has signed. Elliptic curves: RSA keys take seconds to make. */
export function makeCertificates(options: CertificatesOptions = {}): Certificates {
  const folder = temporaryFolder('certificates');
  const ca = { cert: join(folder, 'ca.crt'), key: join(folder, 'ca.key') };
  openssl(['req', '-x509', ...NEW_KEY, ca.key, '-out', ca.cert, '-subj', '/CN=test CA', '-days', '2']);
  const names = (options.serverNames ?? THIS_MACHINE).join(',');
  return {
    ca: ca.cert,
    // A node of a cluster is a client of the others as well.
    server: sign(folder, ca, 'server', [`subjectAltName=${names}`, 'extendedKeyUsage=serverAuth,clientAuth']),
    client: sign(folder, ca, 'client', ['extendedKeyUsage=clientAuth']),
  };
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc', '-keyout'];

function sign(folder: string, ca: KeyPair, name: string, extensions: readonly string[]): KeyPair {
  const path = (ending: string) => join(folder, `${name}.${ending}`);
  const pair = { cert: path('crt'), key: path('key') };
  openssl(['req', ...NEW_KEY, pair.key, '-out', path('csr'), '-subj', `/CN=test-${name}`]);
  writeFileSync(path('ext'), extensions.join('\n'));
  openssl([
    ...['x509', '-req', '-in', path('csr'), '-CA', ca.cert, '-CAkey', ca.key, '-CAcreateserial'],
    ...['-days', '2', '-extfile', path('ext'), '-out', pair.cert],
  ]);
  return pair;
}

function openssl(args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
