import { z } from 'zod';
import { accessLogSchema } from './access-log.ts';
import { accessRulesSchema, authSchema } from './port-auth.ts';
import { limitsSchema } from './port-limits.ts';
import { checkTls, tlsSchema } from './port-tls.ts';

/** Who may do what at an agent's ports, and how much of it. */
export const securitySchema = z.strictObject({
  tls: tlsSchema.prefault({}).describe('TLS of the gRPC port.'),
  auth: authSchema.prefault({}).describe('Who callers of the gRPC port must be.'),
  accessRules: accessRulesSchema
    .optional()
    .describe(
      'Which identity may do what; what no rule allows is denied. Without this field: tokens that the agent was given may do everything, nobody else anything.',
    ),
  limits: limitsSchema.prefault({}).describe('What one caller may take of an agent.'),
  accessLog: accessLogSchema
    .optional()
    .describe('Lines in the log for who did what. Without it there are none.'),
});

export type Security = z.output<typeof securitySchema>;

/** Rules across fields. */
export function checkSecurity({ tls }: Security, fail: (path: string[], remedy: string) => void): void {
  checkTls(tls, (path, remedy) => fail(['tls', ...path], remedy));
}
