import { type LoggedEvent, loggedEventSchema } from '../../api/event.ts';
import { LIMITS } from '../../api/limits.ts';

/** A message that is not an event of this product; counted, logged and skipped. */
export class PoisonedMessageError extends Error {
  constructor(reason: string, options?: ErrorOptions) {
    super(`a message is not an event: ${reason}`, options);
    this.name = 'PoisonedMessageError';
  }
}

/** Longest JSON that an event within the limits can take, names and punctuation included. */
const MAX_MESSAGE_BYTES = 4 * LIMITS.scopeItems * LIMITS.keyBytes;

/** @throws PoisonedMessageError */
export function decodeEvent(json: string): LoggedEvent {
  if (json.length > MAX_MESSAGE_BYTES)
    throw new PoisonedMessageError(`${json.length} characters are too many`);
  let raw: unknown;
  try {
    raw = JSON.parse(json);
  } catch (error) {
    throw new PoisonedMessageError('it is not JSON', { cause: error });
  }
  const parsed = loggedEventSchema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new PoisonedMessageError(`${issue?.path.join('.') || 'it'}: ${issue?.message ?? 'invalid'}`);
}
