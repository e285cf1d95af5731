import { z } from 'zod';

/** Conditions of a tier; `Ready` sums up the others. */
export const CONDITION_TYPES = [
  'Ready',
  'ConfigAccepted',
  'RolloutComplete',
  'RedisReachable',
  'Paused',
  'NodeOverlap',
  'MemoryPressure',
  'CertificateValid',
] as const;
export type ConditionType = (typeof CONDITION_TYPES)[number];

const count = (max = 1_000_000) => z.number().int().min(0).max(max);

export const conditionSchema = z.strictObject({
  type: z
    .string()
    .max(316)
    .describe(`${CONDITION_TYPES.slice(0, -1).join(', ')} or ${CONDITION_TYPES.at(-1)}.`),
  status: z.enum(['True', 'False', 'Unknown']).describe('True, False, or Unknown.'),
  reason: z.string().min(1).max(1024).describe('One word for why, for programs.'),
  message: z.string().max(32_768).describe('Why, and what to do, for people.'),
  observedGeneration: z
    .number()
    .int()
    .min(0)
    .optional()
    .describe('Generation of the spec that this was found for.'),
  lastTransitionTime: z.iso.datetime().describe('When the status last changed.'),
});
export type Condition = z.infer<typeof conditionSchema>;

/** Status of a tier. Integers only, and of a size that does not grow with the number of nodes. */
export const tierStatusSchema = z.strictObject({
  conditions: z
    .array(conditionSchema)
    .max(16)
    .optional()
    .describe('What is so, and why. Ready sums up the others.'),
  observedGeneration: z
    .number()
    .int()
    .min(0)
    .optional()
    .describe('Generation of the spec that this status is about.'),
  desiredAgents: count().optional().describe('Nodes that should run an agent.'),
  readyAgents: count().optional().describe('Agents that are ready.'),
  updatedAgents: count().optional().describe('Agents that run with the newest pod template.'),
  configuredAgents: count().optional().describe('Agents that have confirmed the newest configuration.'),
  configHash: z.string().max(64).optional().describe('Hash of the newest configuration.'),
  l1MaxEntries: count()
    .optional()
    .describe('Most entries in an agent’s memory, the tier’s default filled in.'),
  l1HitPercent: count(100).optional().describe('Lookups answered from an agent’s memory, in percent.'),
  hitPercent: count(100).optional().describe('Lookups answered from memory or Redis, in percent.'),
  propagationP99Ms: count(86_400_000)
    .optional()
    .describe('99th percentile of the time from a change to its receipt; of the slowest agent asked.'),
  redisMemoryUsedMb: count(100_000_000).optional().describe('Memory that Redis uses, in megabytes.'),
  sampledAgents: count().optional().describe('Agents whose statistics these numbers come from.'),
  statsTime: z.iso.datetime().optional().describe('When these statistics were gathered.'),
});
export type TierStatus = z.infer<typeof tierStatusSchema>;
