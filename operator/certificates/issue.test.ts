import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as der from './der.ts';
import { issueAuthority, issueServing } from './issue.ts';

const validity = { notBefore: new Date('2026-01-02T03:04:05Z'), notAfter: new Date('2052-01-02T03:04:05Z') };
const NAMES = ['edgecache-east', 'edgecache-east.shop', 'edgecache-east.shop.svc'];
const authority = issueAuthority('edgecache agents 2026', validity);
const serving = issueServing(authority, NAMES, validity);

describe('what is issued', () => {
  test('is read by Node as it was meant', () => {
    const read = new X509Certificate(serving.certificate);
    const issuer = new X509Certificate(authority.certificate);
    expect(issuer.ca).toBe(true);
    expect(read.ca).toBe(false);
    expect(read.checkIssued(issuer)).toBe(true);
    expect(read.verify(issuer.publicKey)).toBe(true);
    expect(read.subject).toBe('O=Edge Cache\nCN=edgecache-east');
    expect(read.subjectAltName).toBe(
      'DNS:edgecache-east, DNS:edgecache-east.shop, DNS:edgecache-east.shop.svc',
    );
    expect(read.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(read.validFromDate).toEqual(validity.notBefore);
    expect(read.validToDate).toEqual(validity.notAfter);
  });

  test('has a serial number of its own', () => {
    const other = issueServing(authority, NAMES, validity);
    expect(new X509Certificate(other.certificate).serialNumber).not.toBe(
      new X509Certificate(serving.certificate).serialNumber,
    );
  });

  test.skipIf(!hasOpenssl())('is without fault to openssl, at its strictest', () => {
    const folder = mkdtempSync(join(tmpdir(), 'edgecache-issue-'));
    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const ca = file('ca.crt', authority.certificate);
    const crt = file('tls.crt', serving.certificate);
    const args = [
      'verify',
      '-x509_strict',
      '-check_ss_sig',
      '-purpose',
      'sslserver',
      '-verify_hostname',
      'edgecache-east.shop',
    ];
    expect(execFileSync('openssl', [...args, '-CAfile', ca, crt]).toString()).toContain('OK');
  });

  test('is trusted in a TLS handshake under its names, by who has the authority', async () => {
    expect(await handshake('edgecache-east.shop', authority.certificate)).toBe('authorized');
    expect(await handshake('edgecache-west.shop', authority.certificate)).toBe(
      'ERR_TLS_CERT_ALTNAME_INVALID',
    );
    const stranger = issueAuthority('edgecache agents 2026', validity);
    expect(await handshake('edgecache-east.shop', stranger.certificate)).not.toBe('authorized');
  });
});

describe('DER', () => {
  test('writes lengths in the shortest form', () => {
    for (const length of [0, 127, 128, 255, 256, 65_536]) {
      const written = der.octets(Buffer.alloc(length));
      const expected = length < 128 ? 2 : length < 256 ? 3 : length < 65_536 ? 4 : 5;
      expect(written.length - length).toBe(expected);
    }
  });

  test('writes integers without needless zeros, and never negative', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 20 }), (bytes) => {
        const content = der.integer(Buffer.from(bytes)).subarray(2);
        expect(content[0]).toBeLessThan(0x80);
        if (content.length > 1 && content[0] === 0) expect(content[1]).toBeGreaterThanOrEqual(0x80);
        const value = (list: Uint8Array) => BigInt(`0x${Buffer.from(list).toString('hex')}`);
        expect(value(content)).toBe(value(bytes));
      }),
    );
  });

  test('writes object identifiers', () => {
    expect(der.objectId('1.2.840.10045.4.3.2').toString('hex')).toBe('06082a8648ce3d040302');
  });
});

function hasOpenssl(): boolean {
  try {
    execFileSync('openssl', ['version']);
    return true;
  } catch {
    console.warn('skipped: no openssl');
    return false;
  }
}

async function handshake(servername: string, ca: string): Promise<string> {
  const server = createServer({ cert: serving.certificate, key: serving.key }, (socket) => socket.end());
  server.on('tlsClientError', () => undefined); // the client has said why
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  try {
    return await new Promise<string>((resolve) => {
      const socket: TLSSocket = connect({ host: '127.0.0.1', port: address.port, servername, ca }, () => {
        resolve(socket.authorized ? 'authorized' : String(socket.authorizationError));
        socket.destroy();
      });
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    });
  } finally {
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}
