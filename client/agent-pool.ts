import {
  Client,
  type ClientOptions,
  connectivityState,
  credentials,
  type Metadata,
  Metadata as MetadataOf,
  type MethodDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import { AgentUnavailableError, EdgeCacheError, fromGrpc, isAgentsAnswer } from './errors.ts';

export interface AgentPoolOptions {
  /** Agents in order of preference: the own node's first. */
  readonly addresses: readonly string[];
  /** How long a connection may take to be made. */
  readonly connectTimeoutMs: number;
  readonly now: () => number;
  readonly random: () => number;
  /** Told of each call that an agent answered: the method's name and how long it took. */
  readonly answered?: ((method: string, ms: number) => void) | undefined;
}

interface Agent {
  readonly address: string;
  readonly client: Client;
  /** Until when it is passed over after failures. */
  downUntil: number;
  failures: number;
  /** Deadlines that passed in a row: one is a slow answer, several are a process that hangs. */
  silences: number;
}

/** A reply with the node that gave it. */
export interface Reply<T> {
  readonly message: T;
  readonly node: string;
}

const NODE_METADATA = 'edgecache-node';
const NO_METADATA = new MetadataOf();
const DOWN_MIN_MS = 100;
const DOWN_MAX_MS = 5_000;
/** A hung process holds its connection: without this, each lookup would wait its whole deadline. */
const MAX_SILENCES = 3;

const CHANNEL: ClientOptions = {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 3_000,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 2_000,
  'grpc.max_receive_message_length': -1,
};

/**
 * Connections to agents: calls go to the first that answers. One that does not is passed over for a while (circuit
 * breaker), because packets to a node without an agent are dropped, not refused, and each try costs the connect timeout.
 */
export class AgentPool {
  readonly #options: AgentPoolOptions;
  readonly #agents: readonly Agent[];
  #closed = false;

  constructor(options: AgentPoolOptions) {
    if (options.addresses.length === 0) throw new RangeError('addresses must name at least one agent');
    this.#options = options;
    this.#agents = options.addresses.map((address) => ({
      address,
      client: new Client(address, credentials.createInsecure(), CHANNEL),
      downUntil: 0,
      failures: 0,
      silences: 0,
    }));
  }

  /** @throws EdgeCacheError; AgentUnavailableError where none of the agents answers. */
  async call<Request, Response>(
    method: MethodDefinition<Request, Response>,
    request: Request,
    deadlineMs: number,
  ): Promise<Reply<Response>> {
    if (this.#closed) throw new EdgeCacheError('EC_CLIENT_CLOSED', 'the client is closed', false);
    let failure: unknown;
    for (const agent of this.#candidates()) {
      try {
        await this.#connected(agent);
        const beganAt = this.#options.now();
        const reply = await unary(agent.client, method, request, deadlineMs);
        this.#options.answered?.(
          method.path.slice(method.path.lastIndexOf('/') + 1),
          this.#options.now() - beganAt,
        );
        agent.failures = 0;
        agent.silences = 0;
        agent.downUntil = 0;
        return reply;
      } catch (error) {
        this.#countSilence(agent, error);
        if (!(error instanceof AgentUnavailableError)) throw error;
        failure = error;
        this.#passOver(agent);
      }
    }
    const names = this.#agents.map(({ address }) => address).join(', ');
    throw new AgentUnavailableError(`no agent answers (${names})`, { cause: failure });
  }

  close(): void {
    this.#closed = true;
    for (const { client } of this.#agents) client.close();
  }

  /** Those that are not passed over; none at all is answered at once, without another try at what is known to fail. */
  #candidates(): readonly Agent[] {
    const now = this.#options.now();
    return this.#agents.filter(({ downUntil }) => downUntil <= now);
  }

  #countSilence(agent: Agent, error: unknown): void {
    const silent = error instanceof EdgeCacheError && error.code === 'EC_CLIENT_DEADLINE' && !isAnswer(error);
    agent.silences = silent ? agent.silences + 1 : 0;
    if (agent.silences >= MAX_SILENCES) this.#passOver(agent);
  }

  #passOver(agent: Agent): void {
    const { now, random } = this.#options;
    const ceiling = Math.min(DOWN_MAX_MS, DOWN_MIN_MS * 2 ** Math.min(agent.failures, 10));
    agent.failures += 1;
    agent.downUntil = now() + DOWN_MIN_MS / 2 + random() * (ceiling - DOWN_MIN_MS / 2);
  }

  #connected(agent: Agent): Promise<void> | undefined {
    if (agent.client.getChannel().getConnectivityState(true) === connectivityState.READY) return undefined;
    return new Promise((resolve, reject) => {
      agent.client.waitForReady(Date.now() + this.#options.connectTimeoutMs, (error) => {
        if (error === undefined) resolve();
        else reject(new AgentUnavailableError(`agent ${agent.address} cannot be reached`, { cause: error }));
      });
    });
  }
}

/** A confirmation that took too long is told by the agent itself, which then is not silent. */
function isAnswer({ cause }: EdgeCacheError): boolean {
  return cause instanceof Error && 'metadata' in cause && isAgentsAnswer(cause as ServiceError);
}

function unary<Request, Response>(
  client: Client,
  { path, requestSerialize, responseDeserialize }: MethodDefinition<Request, Response>,
  request: Request,
  deadlineMs: number,
): Promise<Reply<Response>> {
  return new Promise((resolve, reject) => {
    let node = '';
    const done = (error: ServiceError | null, message?: Response) => {
      if (error !== null) reject(fromGrpc(error));
      else if (message === undefined) reject(new AgentUnavailableError('the agent gave no answer'));
      else resolve({ message, node });
    };
    const options = { deadline: Date.now() + deadlineMs };
    const call = client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      NO_METADATA,
      options,
      done,
    );
    call.on('metadata', (metadata: Metadata) => {
      node = String(metadata.get(NODE_METADATA)[0] ?? '');
    });
  });
}
