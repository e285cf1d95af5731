import type { ServerHttp2Stream } from 'node:http2';
import { Duplex } from 'node:stream';
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  status,
} from '@grpc/grpc-js';
import { AgentError } from '../errors.ts';
import { toServiceError } from '../grpc/status.ts';
import { type AccessRules, Caller } from './access-rules.ts';
import {
  type Authenticator,
  type Certificate,
  certificateOf,
  type Identity,
  type Shown,
} from './identity.ts';

export interface PortGuardOptions {
  readonly authenticator: Authenticator;
  readonly rules: AccessRules;
  /** Whether clients are asked for certificates. */
  readonly certificates: boolean;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** What is asked, and where the answer goes. */
type Asked = Pick<Standing, 'call' | 'path'>;

/** A stream that stands: who opened it is made sure of again while it does. */
interface Standing {
  readonly call: ServerInterceptingCallInterface;
  readonly path: string;
  readonly shown: Shown;
  readonly caller: Caller;
  renewing: boolean;
}

/** Kubelets and load balancers ask this, and it says no more than whether the agent serves. */
const OPEN = '/grpc.health.v1.Health/';
const SWEEP_MS = 1_000;
/** Before an identity ends it is made sure of again, so that streams outlive a short absence of who can tell. */
const AHEAD_MS = 60_000;

/**
 * Lets a call in once it is known who makes it: before its request is read, and whichever service it is of, so that a service
 * that is added one day is closed until somebody opens it.
 */
export class PortGuard {
  readonly refusals = { unauthenticated: 0, unavailable: 0 };
  /** Told of each call and stream that is refused because of who makes it. */
  refused: ((path: string, peer: string, error: unknown) => void) | undefined;
  readonly #options: PortGuardOptions;
  readonly #callers = new WeakMap<Metadata, Caller>();
  readonly #ofSessions = new WeakMap<object, Certificate>();
  readonly #standing = new Set<Standing>();
  /** Streams that were answered with a refusal, since the last sweep and since the one before. */
  #refused: ServerHttp2Stream[] = [];
  #refusedBefore: ServerHttp2Stream[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PortGuardOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.sweep(), SWEEP_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Of a call that was let in. @throws AgentError EC_UNAUTHENTICATED where it was not, which no call comes to */
  callerOf(metadata: Metadata): Caller {
    const caller = this.#callers.get(metadata);
    if (caller === undefined) throw new AgentError('EC_UNAUTHENTICATED', 'nobody knows who makes this call');
    return caller;
  }

  readonly intercept: ServerInterceptor = (method, call) => {
    if (method.path.startsWith(OPEN)) return new ServerInterceptingCall(call);
    const stands = method.requestStream || method.responseStream;
    let standing: Standing | undefined;
    let over = false;
    return new ServerInterceptingCall(call, {
      start: (next) => {
        next({
          onReceiveMetadata: (metadata, proceed) => {
            const shown = this.#shownBy(call, metadata);
            this.#identify(shown, { call, path: method.path }, (identity) => {
              if (over) return;
              const caller = new Caller(identity, this.#options.rules);
              if (stands) {
                standing = { call, path: method.path, shown, caller, renewing: false };
                this.#standing.add(standing);
              }
              this.#callers.set(metadata, caller);
              proceed(metadata);
            });
          },
          // Told of every end, however it came.
          onCancel: () => {
            over = true;
            if (standing !== undefined) this.#standing.delete(standing);
          },
        });
      },
    });
  };

  /** Ends the streams of those who may not go on: to be called when tokens or rules have changed. */
  recheck(): void {
    for (const standing of this.#standing) void this.#renew(standing);
  }

  /** Makes sure again of those whose identity is about to end, and closes what was refused. */
  sweep(): void {
    this.#closeRefused();
    const soon = this.#options.now() + AHEAD_MS;
    for (const standing of this.#standing)
      if (standing.caller.identity.expiresAt <= soon) void this.#renew(standing);
  }

  /**
   * What was refused stands, half closed, for as long as its client likes, and nobody reads what that has to say. It is reset
   * only after its answer is surely sent, for a reset would overtake that.
   */
  #closeRefused(): void {
    for (const stream of this.#refusedBefore) if (!stream.destroyed) stream.close();
    this.#refusedBefore = this.#refused;
    this.#refused = [];
  }

  #identify(shown: Shown, asked: Asked, admit: (identity: Identity) => void): void {
    try {
      const identity = this.#options.authenticator.identify(shown);
      if (!(identity instanceof Promise)) admit(identity);
      else identity.then(admit).catch((error: unknown) => this.#refuse(asked, error));
    } catch (error) {
      this.#refuse(asked, error);
    }
  }

  async #renew(standing: Standing): Promise<void> {
    const { shown, caller } = standing;
    if (standing.renewing) return;
    standing.renewing = true;
    try {
      const identity = await this.#options.authenticator.identify(shown);
      if (identity.name !== caller.identity.name)
        throw new AgentError(
          'EC_UNAUTHENTICATED',
          'what the stream was opened with is somebody else’s by now',
        );
      caller.renewed(identity);
      caller.checkAgain();
    } catch (error) {
      const unavailable = error instanceof AgentError && error.code === 'EC_AUTH_UNAVAILABLE';
      if (unavailable && caller.identity.expiresAt > this.#options.now()) return;
      this.#standing.delete(standing);
      this.#refuse(standing, error);
    } finally {
      standing.renewing = false;
    }
  }

  #refuse({ call, path }: Asked, error: unknown): void {
    this.refused?.(path, call.getPeer(), error);
    const { code, details, metadata } = toServiceError(error);
    // What rules deny they count themselves.
    if (code === status.UNAVAILABLE) this.refusals.unavailable += 1;
    else if (code !== status.PERMISSION_DENIED) this.refusals.unauthenticated += 1;
    call.sendStatus({ code, details, metadata });
    const stream = http2StreamOf(call);
    if (stream !== undefined) this.#refused.push(stream);
  }

  #shownBy(call: ServerInterceptingCallInterface, metadata: Metadata): Shown {
    const values = metadata.get('authorization');
    // So that no log or trace behind this can tell it.
    metadata.remove('authorization');
    return {
      authorization: values.length === 0 ? undefined : values.map(String).join(' and '),
      certificate: this.#options.certificates ? this.#certificateOf(call) : undefined,
    };
  }

  /** Node describes a certificate anew for whoever asks; it is the same for as long as a connection stands. */
  #certificateOf(call: ServerInterceptingCallInterface): Certificate | undefined {
    const key = http2StreamOf(call)?.session;
    const known = key === undefined ? undefined : this.#ofSessions.get(key);
    if (known !== undefined) return known;
    // Only of a peer that TLS has verified.
    const { sslPeerCertificate: peer } = call.getAuthContext();
    const certificate = peer === undefined ? undefined : certificateOf(peer);
    if (key !== undefined && certificate !== undefined) this.#ofSessions.set(key, certificate);
    return certificate;
  }
}

/** Below a call is a stream of HTTP/2, which is not in grpc-js' types. */
function http2StreamOf(call: ServerInterceptingCallInterface): ServerHttp2Stream | undefined {
  const stream: unknown = Reflect.get(call, 'stream');
  return isHttp2Stream(stream) ? stream : undefined;
}

function isHttp2Stream(stream: unknown): stream is ServerHttp2Stream {
  return stream instanceof Duplex && 'session' in stream && 'close' in stream;
}
