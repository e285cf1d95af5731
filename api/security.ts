import { z } from 'zod';
import { limitsSchema } from './port-limits.ts';

/** Who may do what at an agent's ports, and how much of it. */
export const securitySchema = z.strictObject({
  limits: limitsSchema.prefault({}).describe('What one caller may take of an agent.'),
});

export type Security = z.output<typeof securitySchema>;
