import { z } from 'zod';
import { accessLogSchema } from './access-log.ts';
import { limitsSchema } from './port-limits.ts';

/** Who may do what at an agent's ports, and how much of it. */
export const securitySchema = z.strictObject({
  limits: limitsSchema.prefault({}).describe('What one caller may take of an agent.'),
  accessLog: accessLogSchema
    .optional()
    .describe('Lines in the log for who did what. Without it there are none.'),
});

export type Security = z.output<typeof securitySchema>;
