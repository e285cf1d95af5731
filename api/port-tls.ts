import { z } from 'zod';

export const CLIENT_CERT_MODES = ['none', 'optional', 'require'] as const;

const file = z.string().min(1, 'must be a path').max(4096);

/** TLS of the agent's gRPC port. Unix sockets stay plain: the folder decides who reaches them. */
export const tlsSchema = z.strictObject({
  enabled: z
    .boolean()
    .default(false)
    .describe('Whether the gRPC port speaks TLS, and nothing else. Environment: CACHE_ENABLE_TLS.'),
  certFile: file
    .optional()
    .describe(
      'Certificate as PEM, with the chain behind it; read again when it changes. Environment: CACHE_TLS_CERT_FILE.',
    ),
  keyFile: file.optional().describe('Its private key as PEM. Environment: CACHE_TLS_KEY_FILE.'),
  caFile: file
    .optional()
    .describe('Authorities whose certificates clients may show, as PEM. Environment: CACHE_TLS_CA_FILE.'),
  clientCert: z
    .enum(CLIENT_CERT_MODES, 'must be none, optional or require')
    .default('none')
    .describe('Whether clients are asked for a certificate. Environment: CACHE_TLS_CLIENT_CERT.'),
});

export type PortTlsConfig = z.output<typeof tlsSchema>;

/** Rules across fields. */
export function checkTls(tls: PortTlsConfig, fail: (path: string[], remedy: string) => void): void {
  const { enabled, certFile, keyFile, caFile, clientCert } = tls;
  if (!enabled) {
    const given = certFile ?? keyFile ?? caFile;
    if (given !== undefined || clientCert !== 'none')
      fail(['enabled'], 'must be true (CACHE_ENABLE_TLS) where certificates are configured; or remove them');
    return;
  }
  if (certFile === undefined)
    fail(['certFile'], 'must name the certificate (CACHE_TLS_CERT_FILE) where TLS is enabled');
  if (keyFile === undefined)
    fail(['keyFile'], 'must name the private key (CACHE_TLS_KEY_FILE) where TLS is enabled');
  if (clientCert !== 'none' && caFile === undefined)
    fail(
      ['caFile'],
      `must name the authorities (CACHE_TLS_CA_FILE) that verify clients where clientCert is ${clientCert}`,
    );
}
