import { z } from 'zod';
import { LIMITS } from './limits.ts';
import { eventType, namespaceName } from './namespace.ts';

const utf8 = (max: number, what: string) =>
  z
    .string()
    .min(1, `${what} must not be empty`)
    .refine((text) => Buffer.byteLength(text) <= max, `${what} must be at most ${max} bytes of UTF-8`);

export const keyText = utf8(LIMITS.keyBytes, 'a key');
export const tagText = utf8(LIMITS.tagBytes, 'a tag');

/** Ids are written into JSON by the Redis scripts as they stand, so they have nothing in them to escape. */
export const eventIdText = z
  .string()
  .regex(
    /^[A-Za-z0-9._:-]{1,128}$/,
    'must be 1 to 128 of A-Z, a-z, 0-9, ".", "_", ":" and "-", such as a UUID',
  );

/** W3C Trace Context of version 00, which is what an agent writes. */
const traceparentText = z
  .string()
  .regex(/^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/, 'must be a traceparent of W3C Trace Context');

/** What an event says; {@link loggedEventSchema} adds what the log gives it. */
const eventFields = {
  event_id: eventIdText,
  event_type: eventType,
  resource_id: z.string().max(512),
  data: z.record(z.string(), z.unknown()),
  /** Seconds since 1970, as the sender's clock had it. For people; nothing is decided by it. */
  timestamp: z.number(),
  source_node: z.string().max(253),
  affected_namespaces: z.array(namespaceName).max(64),
  keys: z.array(keyText).max(LIMITS.scopeItems),
  tags: z.array(tagText).max(LIMITS.scopeItems),
  reason: z.string().max(1024).optional(),
};

export const eventSchema = z.object({
  ...eventFields,
  /** The span that made the change, where its trace is sampled. */
  traceparent: traceparentText.optional(),
});
export type CacheEvent = z.infer<typeof eventSchema>;

const streamId = z.string().regex(/^[0-9]+-[0-9]+$/);

/** The JSON in the log and on the channel: an event with its place in the partition's order. */
export const loggedEventSchema = z.object({
  ...eventFields,
  /** Stream id that the log gave. */
  version: streamId,
  /** Stream id and event id of the one before it in the partition; `0-0` and empty for the first. */
  prev: streamId,
  prev_event_id: z.string().max(128),
  /** `put` replaced one key; `invalidate` dropped what it names. */
  op: z.enum(['put', 'invalidate']),
  /** Microseconds since 1970 by Redis' clock, for measuring propagation. */
  logged_at_us: z.number(),
  /** Agent that waits to hear that this was applied, if any. */
  confirm: z.string().max(253).optional(),
  /** A wrong one is no reason to lose the event that it came with. */
  traceparent: traceparentText.optional().catch(undefined),
  /**
   * What a put wrote, where its namespace has it travel along. Only on the channel: in the log it would take room for as
   * long as the log reaches back, and a replay has nobody waiting.
   */
  put: z
    .object({
      ttl_ms: z.number().int().positive(),
      tags: z.array(tagText).max(LIMITS.tagsPerEntry),
      /** Base64. */
      value: z.string().max(Math.ceil(LIMITS.pushValueBytes / 3) * 4),
    })
    .optional(),
});
export type LoggedEvent = z.infer<typeof loggedEventSchema>;
