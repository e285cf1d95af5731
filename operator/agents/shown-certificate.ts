import { connect } from 'node:tls';

/**
 * When the certificate ends that an agent shows, whoever made it. Asked of the agent, not read from its Secret: the
 * operator may not read that, and what counts is what clients are shown.
 */
export function shownCertificateEnd(host: string, port: number, signal: AbortSignal): Promise<Date> {
  return new Promise((resolve, reject) => {
    // Not verified, since nothing is said over it: one that has ended is just what is looked for.
    const socket = connect({ host, port, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
    const cancel = () => socket.destroy(new Error('no certificate in time'));
    signal.addEventListener('abort', cancel, { once: true });
    socket.once('close', () => {
      signal.removeEventListener('abort', cancel);
      reject(new Error('the connection ended before a certificate was shown')); // nothing happens where it was
    });
    socket.once('error', reject);
    socket.once('secureConnect', () => {
      const certificate = socket.getPeerX509Certificate();
      if (certificate !== undefined) resolve(certificate.validToDate);
      socket.destroy();
    });
  });
}
