import { z } from 'zod';
import { checkTls, tlsSchema } from './port-tls.ts';

/** Who may do what at an agent's ports, and how much of it. */
export const securitySchema = z.strictObject({
  tls: tlsSchema.prefault({}).describe('TLS of the gRPC port.'),
});

export type Security = z.output<typeof securitySchema>;

/** Rules across fields. */
export function checkSecurity({ tls }: Security, fail: (path: string[], remedy: string) => void): void {
  checkTls(tls, (path, remedy) => fail(['tls', ...path], remedy));
}
