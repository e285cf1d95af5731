import { Client, credentials } from '@grpc/grpc-js';
import {
  EdgeCacheService,
  type WatchRequest,
  type WatchResponse,
} from '../proto/gen/edgecache/v1/edgecache.ts';
import { NAMESPACE, type Stack } from './stack.ts';

/**
 * Sees what each agent drops: on a Watch stream an agent tells of an invalidation after it has taken it out of its L1, so
 * what is seen here is later than it was, by the way from the agent to this process.
 */
export class Eyes {
  readonly #agents: number;
  #key = '';
  #left = 0;
  #done: () => void = () => undefined;

  private constructor(agents: number) {
    this.#agents = agents;
  }

  static async open(stack: Stack, addresses: readonly string[]): Promise<Eyes> {
    const eyes = new Eyes(addresses.length);
    await Promise.all(addresses.map((address) => eyes.#watch(stack, address)));
    return eyes;
  }

  /** Resolves when every agent has dropped a key, from now on. */
  all(key: string): Promise<void> {
    this.#key = key;
    this.#left = this.#agents;
    return new Promise((resolve) => {
      this.#done = resolve;
    });
  }

  #watch(stack: Stack, address: string): Promise<void> {
    const client = new Client(address, credentials.createInsecure());
    stack.defer(() => client.close());
    const { path, requestSerialize, responseDeserialize } = EdgeCacheService.watch;
    const request: WatchRequest = { namespaces: [NAMESPACE], clientId: 'bench', leaseMs: 0 };
    const stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request);
    stack.defer(() => stream.cancel());
    stream.on('error', () => undefined);
    return new Promise((resolve) => {
      stream.on('data', ({ kind }: WatchResponse) => {
        // The first message says that it has begun.
        resolve();
        if (kind?.$case !== 'invalidation' || !kind.value.keys.includes(this.#key)) return;
        this.#left -= 1;
        if (this.#left === 0) this.#done();
      });
    });
  }
}
