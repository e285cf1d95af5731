import {
  Client,
  type ClientDuplexStream,
  type ClientOptions,
  connectivityState,
  type Metadata,
  type MethodDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import { Access, NO_METADATA } from './access.ts';
import { AgentUnavailableError, fromGrpc } from './errors.ts';

/** A reply with the node that gave it. */
export interface Reply<T> {
  readonly message: T;
  readonly node: string;
  /** Which process answered; another one of the same node has another. Empty: it does not say. */
  readonly agent: string;
}

const NODE_METADATA = 'edgecache-node';
const AGENT_METADATA = 'edgecache-agent';

const CHANNEL: ClientOptions = {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 3_000,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 2_000,
  'grpc.max_receive_message_length': -1,
  // Answers to a batch are larger than HTTP/2's 64 KiB, which would cost another round trip.
  'grpc-node.flow_control_window': 1024 ** 2,
  // A connection that hangs is given up for a new one, which must not be the same again.
  'grpc.use_local_subchannel_pool': 1,
};

/** Who answers on a stream or call. */
export function identityOf(metadata: Metadata): { readonly node: string; readonly agent: string } {
  return {
    node: String(metadata.get(NODE_METADATA)[0] ?? ''),
    agent: String(metadata.get(AGENT_METADATA)[0] ?? ''),
  };
}

/** The connection to one agent. */
export class AgentLink {
  readonly address: string;
  readonly #connectTimeoutMs: number;
  readonly #access: Access;
  #client: Client;
  #connecting: Promise<void> | undefined;

  constructor(address: string, connectTimeoutMs: number, access = new Access({}, () => 0)) {
    this.address = address;
    this.#connectTimeoutMs = connectTimeoutMs;
    this.#access = access;
    this.#client = newClient(address, access);
  }

  /** State of the connection; one is begun where there is none. */
  state(): connectivityState {
    return this.#client.getChannel().getConnectivityState(true);
  }

  /** Nothing to wait for where the connection stands. @throws AgentUnavailableError when it fails or takes too long */
  connected(): Promise<void> | undefined {
    if (this.state() === connectivityState.READY) return undefined;
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  close(): void {
    this.#client.close();
  }

  stream<Request, Response>(
    { path, requestSerialize, responseDeserialize }: MethodDefinition<Request, Response>,
    own: Metadata = NO_METADATA,
  ): ClientDuplexStream<Request, Response> {
    const metadata = this.#access.with(own);
    return this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
  }

  unary<Request, Response>(
    { path, requestSerialize, responseDeserialize }: MethodDefinition<Request, Response>,
    request: Request,
    deadlineMs: number,
    metadata: Metadata = NO_METADATA,
  ): Promise<Reply<Response>> {
    return new Promise((resolve, reject) => {
      let identity = { node: '', agent: '' };
      const done = (error: ServiceError | null, message?: Response) => {
        if (error !== null) reject(fromGrpc(error));
        else if (message === undefined) reject(new AgentUnavailableError('the agent gave no answer'));
        else resolve({ message, ...identity });
      };
      const options = { deadline: Date.now() + deadlineMs };
      const call = this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        this.#access.with(metadata),
        options,
        done,
      );
      call.on('metadata', (received: Metadata) => {
        identity = identityOf(received);
      });
    });
  }

  async #connect(): Promise<void> {
    const channel = this.#client.getChannel();
    const deadline = Date.now() + this.#connectTimeoutMs;
    for (let state = this.state(); state !== connectivityState.READY; state = this.state()) {
      // The call that follows fails at once, and says what is wrong with whose certificate.
      if (state === connectivityState.TRANSIENT_FAILURE && this.#access.isTls(this.address)) return;
      if (state === connectivityState.TRANSIENT_FAILURE || state === connectivityState.SHUTDOWN) {
        throw new AgentUnavailableError(`agent ${this.address} cannot be reached`);
      }
      const from = state;
      const late = await new Promise<Error | undefined>((resolve) => {
        channel.watchConnectivityState(from, deadline, resolve);
      });
      if (late !== undefined) this.#giveUp(late);
    }
  }

  /** A connection whose packets are dropped tries again after 1, 3, 7, … seconds: the next one begins anew. */
  #giveUp(cause: Error): never {
    this.#client.close();
    this.#client = newClient(this.address, this.#access);
    throw new AgentUnavailableError(`agent ${this.address} cannot be reached`, { cause });
  }
}

function newClient(address: string, access: Access): Client {
  return new Client(address, access.credentialsOf(address), {
    ...CHANNEL,
    ...access.channelOptionsOf(address),
  });
}
