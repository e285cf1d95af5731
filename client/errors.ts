import { type ServiceError, status } from '@grpc/grpc-js';

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
  | 'EC_CLIENT_CLOSED'
  | 'EC_CLIENT_VALUE';

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
]);

/** Whether the agent itself answered: its errors carry the product's code, those of the transport do not. */
export function isAgentsAnswer(error: ServiceError): boolean {
  return error.metadata.get('edgecache-code').length > 0;
}

/** Turns what gRPC throws into this product's errors. */
export function fromGrpc(error: ServiceError): EdgeCacheError {
  const message = error.details || error.message;
  const cause = { cause: error };
  switch (error.code) {
    case status.UNAVAILABLE:
      return isAgentsAnswer(error)
        ? new RedisUnavailableError(message, cause)
        : new AgentUnavailableError(message, cause);
    case status.ABORTED:
      return new VersionConflictError(message, cause);
    case status.NOT_FOUND:
      return new UnknownNamespaceError(message, cause);
    default: {
      const [code, retryable] = BY_STATUS.get(error.code) ?? (['EC_CLIENT_REFUSED', false] as const);
      return new EdgeCacheError(code, message, retryable, cause);
    }
  }
}
