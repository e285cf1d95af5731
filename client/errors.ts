import { type ServiceError, status } from '@grpc/grpc-js';
import type { Refusal } from '../proto/gen/edgecache/v1/edgecache.ts';

/** Stable codes; docs/errors.md explains each. */
export type ClientErrorCode =
  | 'EC_CLIENT_AGENT_UNAVAILABLE'
  | 'EC_CLIENT_REDIS_UNAVAILABLE'
  | 'EC_CLIENT_DEADLINE'
  | 'EC_CLIENT_INVALID_REQUEST'
  | 'EC_CLIENT_UNKNOWN_NAMESPACE'
  | 'EC_CLIENT_VERSION_CONFLICT'
  | 'EC_CLIENT_OVERLOADED'
  | 'EC_CLIENT_REFUSED'
  | 'EC_CLIENT_UNAUTHENTICATED'
  | 'EC_CLIENT_PERMISSION_DENIED'
  | 'EC_CLIENT_ACCESS'
  | 'EC_CLIENT_CLOSED'
  | 'EC_CLIENT_VALUE'
  | 'EC_CLIENT_LOADER_DEADLINE';

/** Any failure of a call. `retryable` says whether the same call may succeed later. */
export class EdgeCacheError extends Error {
  readonly code: ClientErrorCode;
  readonly retryable: boolean;

  constructor(code: ClientErrorCode, message: string, retryable: boolean, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EdgeCacheError';
    this.code = code;
    this.retryable = retryable;
  }
}

/** No agent could be reached. A change may or may not have been made; the same event id may be sent again. */
export class AgentUnavailableError extends EdgeCacheError {
  constructor(message: string, options?: ErrorOptions) {
    super('EC_CLIENT_AGENT_UNAVAILABLE', message, true, options);
    this.name = 'AgentUnavailableError';
  }
}

/** The agent answers, but Redis is out of its reach. A change may or may not have been made, as above. */
export class RedisUnavailableError extends EdgeCacheError {
  constructor(message: string, options?: ErrorOptions) {
    super('EC_CLIENT_REDIS_UNAVAILABLE', message, true, options);
    this.name = 'RedisUnavailableError';
  }
}

/** A compare-and-set found another version. Read again and decide anew. */
export class VersionConflictError extends EdgeCacheError {
  constructor(message: string, options?: ErrorOptions) {
    super('EC_CLIENT_VERSION_CONFLICT', message, false, options);
    this.name = 'VersionConflictError';
  }
}

/** The agent's tier has no such namespace; the message names those that it has. */
export class UnknownNamespaceError extends EdgeCacheError {
  constructor(message: string, options?: ErrorOptions) {
    super('EC_CLIENT_UNKNOWN_NAMESPACE', message, false, options);
    this.name = 'UnknownNamespaceError';
  }
}

const BY_STATUS: ReadonlyMap<status, readonly [ClientErrorCode, boolean]> = new Map([
  [status.DEADLINE_EXCEEDED, ['EC_CLIENT_DEADLINE', true]],
  [status.INVALID_ARGUMENT, ['EC_CLIENT_INVALID_REQUEST', false]],
  [status.RESOURCE_EXHAUSTED, ['EC_CLIENT_OVERLOADED', true]],
  [status.CANCELLED, ['EC_CLIENT_CLOSED', false]],
  [status.UNAUTHENTICATED, ['EC_CLIENT_UNAUTHENTICATED', false]],
  [status.PERMISSION_DENIED, ['EC_CLIENT_PERMISSION_DENIED', false]],
]);

/** Whether the agent itself answered: its errors carry the product's code, those of the transport do not. */
export function isAgentsAnswer(error: ServiceError): boolean {
  return error.metadata.get('edgecache-code').length > 0;
}

/** Whether an error is what an agent itself said, such as that a confirmation took too long: then it is not silent. */
export function isAgentsWord({ cause }: EdgeCacheError): boolean {
  // What makes it a service error is looked at first.
  return cause instanceof Error && 'metadata' in cause && isAgentsAnswer(cause as ServiceError);
}

/** Turns a lookup's refusal, which came in place of an answer, into the error that its call would have thrown. */
export function fromRefusal({ status: code, message }: Pick<Refusal, 'status' | 'message'>): EdgeCacheError {
  return fromStatus(code, message, {}, true);
}

/** Turns what gRPC throws into this product's errors. */
export function fromGrpc(error: ServiceError): EdgeCacheError {
  if (error.metadata.get('edgecache-code')[0] === 'EC_AUTH_UNAVAILABLE')
    return new EdgeCacheError('EC_CLIENT_UNAUTHENTICATED', error.details, true, { cause: error });
  return fromStatus(error.code, error.details || error.message, { cause: error }, isAgentsAnswer(error));
}

function fromStatus(
  code: status,
  message: string,
  cause: ErrorOptions,
  agentsAnswer: boolean,
): EdgeCacheError {
  switch (code) {
    case status.UNAVAILABLE:
      return agentsAnswer
        ? new RedisUnavailableError(message, cause)
        : new AgentUnavailableError(message, cause);
    case status.ABORTED:
      return new VersionConflictError(message, cause);
    case status.NOT_FOUND:
      return new UnknownNamespaceError(message, cause);
    default: {
      const [name, retryable] = BY_STATUS.get(code) ?? (['EC_CLIENT_REFUSED', false] as const);
      return new EdgeCacheError(name, message, retryable, cause);
    }
  }
}
