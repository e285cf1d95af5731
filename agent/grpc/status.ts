import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { InvalidInputError } from '../../api/errors.ts';
import type { Refusal } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { InvalidTokenError } from '../cache/token.ts';
import { AgentError, type AgentErrorCode, messageOf } from '../errors.ts';
import { RateLimitedError } from '../guard/rate-limiter.ts';

const STATUS: Readonly<Record<AgentErrorCode, status>> = {
  EC_INVALID_REQUEST: status.INVALID_ARGUMENT,
  EC_UNKNOWN_NAMESPACE: status.NOT_FOUND,
  EC_VALUE_TOO_LARGE: status.INVALID_ARGUMENT,
  EC_VERSION_CONFLICT: status.ABORTED,
  EC_REDIS_UNAVAILABLE: status.UNAVAILABLE,
  EC_REDIS_REFUSED: status.FAILED_PRECONDITION,
  EC_OUTBOX_FULL: status.RESOURCE_EXHAUSTED,
  EC_PARTITIONS_MISMATCH: status.FAILED_PRECONDITION,
  EC_CONFIRM_TIMEOUT: status.DEADLINE_EXCEEDED,
  EC_NO_ENCRYPTION_KEY: status.FAILED_PRECONDITION,
  EC_RATE_LIMITED: status.RESOURCE_EXHAUSTED,
  EC_LISTEN_FAILED: status.INTERNAL,
  EC_SECURITY_FILE: status.INTERNAL,
  EC_UNAUTHENTICATED: status.UNAUTHENTICATED,
  EC_AUTH_UNAVAILABLE: status.UNAVAILABLE,
  EC_PERMISSION_DENIED: status.PERMISSION_DENIED,
};

/** Turns a typed error into what gRPC callers get: status, message, and the stable code in the trailers. */
export function toServiceError(error: unknown): ServiceError {
  const code = codeOf(error);
  const metadata = new Metadata();
  metadata.set('edgecache-code', code ?? 'EC_INTERNAL');
  // Clients that retry by themselves (gRFC A6) wait for so long.
  if (error instanceof RateLimitedError) metadata.set('grpc-retry-pushback-ms', String(error.retryAfterMs));
  const message = messageOf(error);
  return Object.assign(new Error(message), {
    code: code === undefined ? status.INTERNAL : STATUS[code],
    details: message,
    metadata,
  });
}

/** Name of the status that a caller gets for an error, such as NOT_FOUND. */
export function statusName(error: unknown): string {
  const code = codeOf(error);
  return status[code === undefined ? status.INTERNAL : STATUS[code]];
}

/** The same, for one of many that travel together. */
export function toRefusal(error: unknown): Refusal {
  const code = codeOf(error);
  return {
    status: code === undefined ? status.INTERNAL : STATUS[code],
    code: code ?? 'EC_INTERNAL',
    message: messageOf(error),
  };
}

/** Stable code of an error; nothing for what no caller could have caused. */
export function codeOf(error: unknown): AgentErrorCode | undefined {
  if (error instanceof AgentError) return error.code;
  if (error instanceof InvalidInputError || error instanceof InvalidTokenError) return 'EC_INVALID_REQUEST';
  return undefined;
}
