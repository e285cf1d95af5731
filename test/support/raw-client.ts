import { Client, credentials, type MethodDefinition, type ServiceError } from '@grpc/grpc-js';
import { EdgeCacheService } from '../../proto/gen/edgecache/v1/edgecache.ts';

/** What a call that must fail was answered with. */
export interface Failure {
  readonly code: number;
  readonly message: string;
  /** The product's own code, from the trailers. */
  readonly reason: string;
}

/** Sends anything at all to an agent, as any gRPC client could. */
export class RawClient {
  readonly #client: Client;

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure());
  }

  close(): void {
    this.#client.close();
  }

  call<Request, Response>(method: MethodDefinition<Request, Response>, request: Request): Promise<Response> {
    const { path, requestSerialize, responseDeserialize } = method;
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        (error, response) => {
          if (error !== null) reject(error);
          else if (response === undefined) reject(new Error('no answer'));
          else resolve(response);
        },
      );
    });
  }

  /** Sends bytes that need not be a message. */
  bytes(method: string, body: Buffer): Promise<Buffer> {
    const identity = (data: Buffer) => data;
    const path = `/edgecache.v1.EdgeCache/${method}`;
    const base = { requestStream: false as const, responseStream: false as const };
    return this.call(
      {
        ...base,
        path,
        requestSerialize: identity,
        requestDeserialize: identity,
        responseSerialize: identity,
        responseDeserialize: identity,
      },
      body,
    );
  }
}

/** Waits for a call to fail. @throws Error where it does not. */
export async function failureOf(call: Promise<unknown>): Promise<Failure> {
  try {
    await call;
  } catch (error) {
    if (!isServiceError(error)) throw error;
    return {
      code: error.code,
      message: error.details,
      reason: String(error.metadata.get('edgecache-code')[0] ?? ''),
    };
  }
  throw new Error('the call succeeded');
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'details' in error && 'metadata' in error;
}

export const METHODS = EdgeCacheService;
