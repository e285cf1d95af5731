import { connectivityState, type MethodDefinition } from '@grpc/grpc-js';
import type { Access } from './access.ts';
import { AgentLink, type Reply } from './agent-link.ts';
import { AgentUnavailableError, EdgeCacheError, isAgentsWord } from './errors.ts';
import type { TraceCarrier } from './tracing.ts';

export type { Reply } from './agent-link.ts';

export interface AgentPoolOptions {
  /** Agents in order of preference: the own node's first. */
  readonly addresses: readonly string[];
  /** How long a connection may take to be made. */
  readonly connectTimeoutMs: number;
  readonly access: Access;
  readonly now: () => number;
  readonly random: () => number;
  /** Told of each call that an agent answered: the method's name and how long it took. */
  readonly answered?: ((method: string, ms: number) => void) | undefined;
  readonly trace?: TraceCarrier | undefined;
}

/** How an agent has behaved. */
interface Member {
  readonly link: AgentLink;
  /** Until when it is passed over after failures. */
  downUntil: number;
  failures: number;
  /** Deadlines that passed in a row: one is a slow answer, several are a process that hangs. */
  silences: number;
}

const DOWN_MIN_MS = 100;
const DOWN_MAX_MS = 5_000;
/** A hung process holds its connection: without this, each lookup would wait its whole deadline. */
const MAX_SILENCES = 3;

/**
 * Agents in order of preference: calls go to the first that answers. One that does not is passed over for a while (circuit
 * breaker), because packets to a node without an agent are dropped, not refused. Who has failed once is asked again only
 * when its connection, which is made in the background, stands: so an agent that is gone costs one connect timeout, once.
 */
export class AgentPool {
  readonly #options: AgentPoolOptions;
  readonly #members: readonly Member[];
  #closed = false;

  constructor(options: AgentPoolOptions) {
    if (options.addresses.length === 0) throw new RangeError('addresses must name at least one agent');
    this.#options = options;
    this.#members = options.addresses.map((address) => ({
      link: new AgentLink(address, options.connectTimeoutMs, options.access),
      downUntil: 0,
      failures: 0,
      silences: 0,
    }));
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Told what a call took, for callers that make their own. */
  answered(method: string, ms: number): void {
    this.#options.answered?.(method, ms);
  }

  /** The agent that lookups go to, if its connection stands; it is made where it does not. */
  preferred(): AgentLink | undefined {
    if (this.#closed) return undefined;
    const now = this.#options.now();
    for (const { link, downUntil, failures } of this.#members) {
      if (downUntil > now) continue;
      if (link.state() === connectivityState.READY) return link;
      // One that was never tried, or was well until now, is worth waiting for: the next call does.
      if (failures === 0) return undefined;
    }
    return undefined;
  }

  /**
   * @param patient whether to wait for the connection to an agent that has failed before; lookups have a loader instead.
   * @throws EdgeCacheError; AgentUnavailableError where none of the agents answers.
   */
  async call<Request, Response>(
    method: MethodDefinition<Request, Response>,
    request: Request,
    deadlineMs: number,
    patient = false,
  ): Promise<Reply<Response>> {
    if (this.#closed) throw new EdgeCacheError('EC_CLIENT_CLOSED', 'the client is closed', false);
    let failure: unknown;
    for (const member of this.#candidates(patient)) {
      try {
        await member.link.connected();
        const beganAt = this.#options.now();
        const reply = await this.#ask(member, method, request, deadlineMs);
        this.answered(method.path.slice(method.path.lastIndexOf('/') + 1), this.#options.now() - beganAt);
        this.#isWell(member);
        return reply;
      } catch (error) {
        this.#note(member, error);
        if (!(error instanceof AgentUnavailableError)) throw error;
        failure = error;
      }
    }
    const names = this.#members.map(({ link }) => link.address).join(', ');
    const why = failure instanceof Error ? `: ${failure.message}` : '';
    throw new AgentUnavailableError(`no agent answers (${names})${why}`, { cause: failure });
  }

  /** Once more where the token was refused, and its file holds another one by now. */
  async #ask<Request, Response>(
    { link }: Member,
    method: MethodDefinition<Request, Response>,
    request: Request,
    deadlineMs: number,
  ): Promise<Reply<Response>> {
    const { access, trace } = this.#options;
    const metadata = trace?.metadata;
    try {
      return await link.unary(method, request, deadlineMs, metadata);
    } catch (error) {
      const refused = error instanceof EdgeCacheError && error.code === 'EC_CLIENT_UNAUTHENTICATED';
      if (!refused || !(await access.renew())) throw error;
      return await link.unary(method, request, deadlineMs, metadata);
    }
  }

  /** An agent has answered on a stream. */
  isWell(link: AgentLink): void {
    const member = this.#memberOf(link);
    if (member !== undefined) this.#isWell(member);
  }

  /** A stream to an agent failed, or a lookup on it was not answered in time. */
  failed(link: AgentLink, error: unknown): void {
    const member = this.#memberOf(link);
    if (member !== undefined) this.#note(member, error);
  }

  close(): void {
    this.#closed = true;
    for (const { link } of this.#members) link.close();
    this.#options.access.close();
  }

  /** Those that are not passed over; none at all is answered at once, without another try at what is known to fail. */
  #candidates(patient: boolean): readonly Member[] {
    const now = this.#options.now();
    return this.#members.filter(({ link, downUntil, failures }) => {
      if (downUntil > now) return false;
      // Asking for the state begins a connection where there is none.
      return failures === 0 || patient || link.state() === connectivityState.READY;
    });
  }

  #memberOf(wanted: AgentLink): Member | undefined {
    return this.#members.find(({ link }) => link === wanted);
  }

  #isWell(member: Member): void {
    member.failures = 0;
    member.silences = 0;
    member.downUntil = 0;
  }

  #note(member: Member, error: unknown): void {
    const silent =
      error instanceof EdgeCacheError && error.code === 'EC_CLIENT_DEADLINE' && !isAgentsWord(error);
    member.silences = silent ? member.silences + 1 : 0;
    if (member.silences >= MAX_SILENCES || error instanceof AgentUnavailableError) this.#passOver(member);
  }

  #passOver(member: Member): void {
    const { now, random } = this.#options;
    const ceiling = Math.min(DOWN_MAX_MS, DOWN_MIN_MS * 2 ** Math.min(member.failures, 10));
    member.failures += 1;
    member.downUntil = now() + DOWN_MIN_MS / 2 + random() * (ceiling - DOWN_MIN_MS / 2);
  }
}
