import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../../hack/local/children.ts';

/** A certificate and its key, as PEM. */
export interface Pair {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface CertificateOptions {
  /** Default: the name. */
  readonly subject?: string;
  /** As OpenSSL writes them, such as `DNS:agent,IP:127.0.0.1`. */
  readonly names?: string;
  /** Default 1; negative: it has ended. */
  readonly days?: number;
}

/** An authority of this test's own, made with openssl. */
export class Authority {
  readonly folder = temporaryFolder('certificates');
  readonly caFile: string;
  readonly #keyFile: string;
  #made = 0;

  constructor(name: string) {
    this.caFile = join(this.folder, 'ca.crt');
    this.#keyFile = join(this.folder, 'ca.key');
    openssl([
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc'],
      ...['-subj', `/CN=${name}`, '-days', '2', '-keyout', this.#keyFile, '-out', this.caFile],
    ]);
  }

  issue(name: string, { subject = `/CN=${name}`, names, days = 1 }: CertificateOptions = {}): Pair {
    this.#made += 1;
    const path = join(this.folder, `${name}-${this.#made}`);
    const [request, keyFile, certFile, extensions] = ['csr', 'key', 'crt', 'ext'].map(
      (end) => `${path}.${end}`,
    ) as [string, string, string, string];
    openssl([
      ...['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc'],
      ...['-subj', subject, '-keyout', keyFile, '-out', request],
    ]);
    writeFileSync(extensions, names === undefined ? '' : `subjectAltName=${names}\n`);
    openssl([
      ...['x509', '-req', '-in', request, '-CA', this.caFile, '-CAkey', this.#keyFile],
      ...['-out', certFile, '-extfile', extensions, '-set_serial', `${Date.now()}${this.#made}`],
      ...['-days', String(days)],
    ]);
    return { certFile, keyFile };
  }

  /** For an agent on this machine. */
  issueForAgent(options: CertificateOptions = {}): Pair {
    return this.issue('agent', { names: 'IP:127.0.0.1,DNS:localhost,DNS:agent.test', ...options });
  }
}

/** A folder of files that is replaced as kubelets replace mounted Secrets: all at once, by a link that is swapped. */
export class MountedFolder {
  readonly path = temporaryFolder('mounted');
  #version = 0;

  constructor(files: Readonly<Record<string, string | Buffer>>) {
    this.swap(files);
    for (const name of Object.keys(files)) symlinkSync(join('..data', name), join(this.path, name));
  }

  file(name: string): string {
    return join(this.path, name);
  }

  swap(files: Readonly<Record<string, string | Buffer>>): void {
    const before = `..v${this.#version}`;
    this.#version += 1;
    const folder = `..v${this.#version}`;
    mkdirSync(join(this.path, folder));
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(this.path, folder, name), bytes);
    symlinkSync(folder, join(this.path, '..data_tmp'));
    renameSync(join(this.path, '..data_tmp'), join(this.path, '..data'));
    rmSync(join(this.path, before), { recursive: true, force: true });
  }
}

function openssl(args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
