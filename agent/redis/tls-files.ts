import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import type { AgentConfig } from '../../api/agent-config.ts';
import { messageOf } from '../errors.ts';

export type TlsFileNames = Pick<AgentConfig['redis'], 'caFile' | 'certFile' | 'keyFile'>;

/** What the client library hands to `tls.connect`. It copies the fields for each connection, and thereby asks anew. */
export interface TlsOptions {
  readonly secureContext: SecureContext;
}

/**
 * The certificates that connections to Redis are made with, read again for each new connection: whoever renews them need
 * not start agents again. Connections that stand stay as they are.
 */
export class TlsFiles {
  readonly options: TlsOptions;
  readonly #names: TlsFileNames;
  #problem: string | undefined;

  constructor(names: TlsFileNames) {
    this.#names = names;
    const read = () => this.#read();
    this.options = {
      get secureContext() {
        return read();
      },
    };
  }

  /** What to tell people about a connection that failed: the reason and what to do, where it is one of TLS. */
  explain(error: unknown): string {
    if (this.#problem !== undefined) return this.#problem;
    const message = messageOf(error);
    const remedy = this.#remedyFor(message);
    return remedy === undefined ? message : `${message}: ${remedy}`;
  }

  /** By words, not by codes: what comes through a sentinel's connection has lost its code. */
  #remedyFor(message: string): string | undefined {
    const { caFile, certFile } = this.#names;
    if (/self-signed certificate|unable to get (local )?issuer|unable to verify the first/.test(message))
      return caFile === undefined
        ? 'the certificate of Redis is of no public authority; set redis.caFile (REDIS_CA_FILE) to the CA that signed it'
        : `the certificate of Redis is not signed by the CA in redis.caFile (${caFile}); correct one of the two`;
    if (/does not match certificate's altnames/.test(message))
      return 'add the name or address to the certificate of Redis, or let redis.nodes and what Redis announces (cluster-announce-hostname) be what it names';
    if (/certificate has expired/.test(message)) return 'renew the certificate of Redis';
    if (/wrong version number|packet length too long/.test(message))
      return 'Redis does not speak TLS on this port; correct redis.nodes, or set redis.tls (REDIS_SSL) to false';
    // With TLS 1.3 a server's refusal may be overtaken by the end of the connection, which alone may mean something else.
    const certain = /alert (certificate|handshake|unknown ca|bad certificate)/.test(message);
    if (!certain && !/ECONNRESET|EPIPE/.test(message)) return undefined;
    const given = certFile === undefined ? 'none given' : `given: redis.certFile (${certFile})`;
    return `Redis ${certain ? 'accepts' : 'may accept'} only certificates of the CA that it trusts (tls-ca-cert-file); ${given}; set redis.certFile (REDIS_CERT_FILE) and redis.keyFile (REDIS_KEY_FILE)`;
  }

  /** Never throws: the library would be left in a state that it does not come out of. Without its files it trusts nobody. */
  #read(): SecureContext {
    try {
      const context = createSecureContext(this.#contents());
      this.#problem = undefined;
      return context;
    } catch (error) {
      const given =
        error instanceof FileError ? '' : `the files of redis.tls do not fit together (${this.#list()}): `;
      this.#problem = `${given}${messageOf(error)}`;
      return createSecureContext({ ca: [] });
    }
  }

  #contents(): SecureContextOptions {
    const { caFile, certFile, keyFile } = this.#names;
    return {
      ...(caFile === undefined ? {} : { ca: contentOf('caFile', caFile, 'CERTIFICATE') }),
      ...(certFile === undefined ? {} : { cert: contentOf('certFile', certFile, 'CERTIFICATE') }),
      ...(keyFile === undefined ? {} : { key: contentOf('keyFile', keyFile, 'PRIVATE KEY') }),
    };
  }

  #list(): string {
    return Object.entries(this.#names)
      .flatMap(([field, path]) => (path === undefined ? [] : [`redis.${field} ${path}`]))
      .join(', ');
  }
}

class FileError extends Error {}

/** OpenSSL takes a CA file without a certificate for an empty list, and says nothing. */
function contentOf(field: keyof TlsFileNames, path: string, what: string): Buffer {
  let content: Buffer;
  try {
    content = readFileSync(path);
  } catch (error) {
    throw new FileError(
      `redis.${field} ${path} cannot be read (${messageOf(error)}); it must be a readable PEM file`,
      { cause: error },
    );
  }
  if (!new RegExp(`-----BEGIN [A-Z ]*${what}-----`).test(content.toString('latin1')))
    throw new FileError(`redis.${field} ${path} has no "BEGIN ${what}"; it must be a PEM file`);
  return content;
}
