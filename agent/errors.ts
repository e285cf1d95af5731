/** Stable codes; docs/errors.md explains each. */
export type AgentErrorCode =
  | 'EC_INVALID_REQUEST'
  | 'EC_UNKNOWN_NAMESPACE'
  | 'EC_VALUE_TOO_LARGE'
  | 'EC_VERSION_CONFLICT'
  | 'EC_REDIS_UNAVAILABLE'
  | 'EC_REDIS_REFUSED'
  | 'EC_OUTBOX_FULL'
  | 'EC_PARTITIONS_MISMATCH'
  | 'EC_CONFIRM_TIMEOUT'
  | 'EC_NO_ENCRYPTION_KEY'
  | 'EC_RATE_LIMITED'
  | 'EC_LISTEN_FAILED'
  | 'EC_SECURITY_FILE'
  | 'EC_UNAUTHENTICATED'
  | 'EC_AUTH_UNAVAILABLE'
  | 'EC_PERMISSION_DENIED';

/** A failure that an agent answers or stops with. */
export class AgentError extends Error {
  readonly code: AgentErrorCode;

  constructor(code: AgentErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'AgentError';
    this.code = code;
  }
}

/** Redis did not answer in time or cannot serve now. The change may or may not have been made. */
export class RedisUnavailableError extends AgentError {
  constructor(cause: unknown) {
    super('EC_REDIS_UNAVAILABLE', `Redis is out of reach: ${messageOf(cause)}`, { cause });
    this.name = 'RedisUnavailableError';
  }
}

/** Redis answered with an error that trying again will not mend. */
export class RedisRefusedError extends AgentError {
  constructor(cause: unknown) {
    super('EC_REDIS_REFUSED', `Redis refused: ${messageOf(cause)}`, { cause });
    this.name = 'RedisRefusedError';
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Errors that Redis answers while it is moving, loading, electing or locked, or has just become a replica; all pass. */
const PASSING =
  /^(CLUSTERDOWN|LOADING|MASTERDOWN|READONLY|TRYAGAIN|NOREPLICAS|BUSY|UNKILLABLE|MOVED|ASK|NOAUTH|WRONGPASS|ERR WAIT)\b/;

/** Tells what Redis said no to from what never reached it. */
export function fromRedis(error: unknown): RedisUnavailableError | RedisRefusedError {
  if (error instanceof RedisUnavailableError || error instanceof RedisRefusedError) return error;
  const isReply = error instanceof Error && error.name === 'ReplyError';
  return isReply && !PASSING.test(messageOf(error))
    ? new RedisRefusedError(error)
    : new RedisUnavailableError(error);
}
