import type { SecureContextOptions } from 'node:tls';
import { ServerCredentials } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import type { PortTlsConfig } from '../../api/port-tls.ts';
import { AgentError, messageOf } from '../errors.ts';
import type { Declarations } from '../metrics/declarations.ts';
import { type PortCertificates, readCertificates } from './certificates.ts';
import { WatchedFiles } from './watched-files.ts';

export interface PortTlsOptions {
  readonly config: PortTlsConfig;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  readonly log: Logger;
}

/** Days before its end at which a certificate that nobody has replaced is warned of, at the start. */
const WARN_MS = 7 * 86_400_000;

/** TLS of the gRPC port. Certificates are replaced while it serves; connections that stand are not touched. */
export class PortTls {
  readonly #options: PortTlsOptions;
  readonly #files: WatchedFiles<'certificate' | 'key' | 'authorities'>;
  #present: PortCertificates | undefined;
  #credentials: ReplaceableCredentials | undefined;
  readonly reloads = { taken: 0, refused: 0 };

  constructor(options: PortTlsOptions) {
    this.#options = options;
    const { config, log } = options;
    this.#files = new WatchedFiles({
      files: {
        certificate: config.certFile,
        key: config.keyFile,
        // Not read where nobody is verified: a Secret of cert-manager has it all the same.
        authorities: config.clientCert === 'none' ? undefined : config.caFile,
      },
      take: (contents) => this.#take(readCertificates(contents)),
      failed: (error) => {
        this.reloads.refused += 1;
        log.error(
          { error: messageOf(error) },
          'the changed certificate cannot be used; going on with the one before',
        );
      },
    });
  }

  /** What the port listens with; undefined: plain. @throws AgentError EC_SECURITY_FILE */
  start(): ServerCredentials | undefined {
    if (!this.#options.config.enabled) return undefined;
    try {
      this.#files.load();
    } catch (error) {
      throw new AgentError('EC_SECURITY_FILE', `security.tls: ${messageOf(error)}`, { cause: error });
    }
    this.#files.watch();
    this.#warnOfEnd();
    return this.#credentials;
  }

  stop(): void {
    this.#files.stop();
  }

  declare(metrics: Declarations): void {
    metrics.gauges(
      'tls_certificate_expiration_timestamp_seconds',
      'End of the certificate that the gRPC port shows, and of the first authority that ends; seconds since 1970.',
      ['of'],
      () => {
        const { endsAt, authoritiesEndAt } = this.#present ?? {};
        return [
          ...(endsAt === undefined ? [] : [[{ of: 'certificate' }, endsAt / 1000] as const]),
          ...(authoritiesEndAt === undefined ? [] : [[{ of: 'ca' }, authoritiesEndAt / 1000] as const]),
        ];
      },
    );
    metrics.counters(
      'tls_reloads',
      'Changed certificates, keys and authorities that were taken, or refused because they cannot be used.',
      ['result'],
      () => [
        [{ result: 'taken' }, this.reloads.taken],
        [{ result: 'refused' }, this.reloads.refused],
      ],
    );
  }

  #take(next: PortCertificates): void {
    const { config, wallClock, log } = this.#options;
    const present = this.#present;
    if (present !== undefined && next.endsAt < wallClock() && present.endsAt >= wallClock())
      throw new Error('certFile (CACHE_TLS_CERT_FILE) has a certificate that has ended');
    this.#present = next;
    if (this.#credentials === undefined) {
      this.#credentials = new ReplaceableCredentials(config.clientCert, next.context);
      return;
    }
    // A new context has new keys for session tickets: who was verified by other authorities cannot resume.
    this.#credentials.replace(next.context);
    this.reloads.taken += 1;
    log.info({ endsAt: new Date(next.endsAt).toISOString() }, 'certificate replaced');
  }

  #warnOfEnd(): void {
    const { wallClock, log } = this.#options;
    const endsAt = this.#present?.endsAt ?? Number.POSITIVE_INFINITY;
    if (endsAt > wallClock() + WARN_MS) return;
    const text = endsAt < wallClock() ? 'the certificate has ended' : 'the certificate is about to end';
    log.warn({ endsAt: new Date(endsAt).toISOString() }, `${text}; a new one is taken without a restart`);
  }
}

class ReplaceableCredentials extends ServerCredentials {
  constructor(clientCert: PortTlsConfig['clientCert'], context: SecureContextOptions) {
    super({ requestCert: clientCert !== 'none', rejectUnauthorized: clientCert === 'require' }, context);
  }

  replace(context: SecureContextOptions): void {
    this.updateSecureContextOptions(context);
  }

  _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}
