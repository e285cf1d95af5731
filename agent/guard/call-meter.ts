import type { Metadata } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Security } from '../../api/security.ts';
import type { BatchGetRequest } from '../../proto/gen/edgecache/v1/edgecache.ts';
import type { Answer, PartAnswers } from '../cache/answer.ts';
import { codeOf } from '../grpc/status.ts';
import { Declarations } from '../metrics/declarations.ts';
import type { PortGuard } from '../security/port-guard.ts';
import { AccessLog } from './access-log.ts';
import { RateLimiter } from './rate-limiter.ts';
import { itemsOf, touchedBy } from './touched.ts';

/** What of a call says who makes it. */
export interface MeteredCall {
  readonly metadata: Metadata;
  getPeer(): string;
}

export interface CallMeterOptions {
  readonly limiter?: RateLimiter | undefined;
  readonly access?: AccessLog | undefined;
  /** @returns such as `token:ci`; {@link ANONYMOUS} for who did not say */
  readonly identityOf: (call: MeteredCall) => string;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export const ANONYMOUS = 'anonymous';

interface Who {
  readonly identity: string;
  readonly peer: string;
  /** Whose budget is used: who has no name is told from others by address. */
  readonly budget: string;
}

/** Stands before the calls of the port where there is something to count or to write down; else there is none. */
export class CallMeter {
  readonly #options: CallMeterOptions;

  constructor(options: CallMeterOptions) {
    this.#options = options;
  }

  /** Answers one call, or lets a stream begin. @throws what `answer` throws, RateLimitedError */
  unary<Response>(
    method: string,
    call: MeteredCall,
    request: object,
    answer: () => Response | Promise<Response>,
  ): Response | Promise<Response> {
    const { now, limiter } = this.#options;
    const who = this.#whoIs(call);
    const since = now();
    const done = (error?: unknown): void => this.#note(method, who, since, request, error);
    try {
      limiter?.admit(who.budget, itemsOf(request));
      const response = answer();
      if (response instanceof Promise) response.then(() => done(), done);
      else done();
      return response;
    } catch (error) {
      done(error);
      throw error;
    }
  }

  /** Answers the batches of one Lookup stream. */
  batches(
    call: MeteredCall,
    answer: (request: BatchGetRequest) => PartAnswers,
  ): (request: BatchGetRequest) => PartAnswers {
    const { now, limiter, access } = this.#options;
    const who = this.#whoIs(call);
    return (request) => {
      const since = now();
      const done = (error?: unknown): void => this.#note('Lookup', who, since, request, error);
      try {
        limiter?.admit(who.budget, request.items.length);
        const parts = answer(request);
        if (access === undefined) return parts;
        const { answers, rest } = parts;
        if (rest === undefined) done(refusalIn(answers));
        else rest.then((found) => done(refusalIn(answers) ?? refusalIn(found)), done);
        return parts;
      } catch (error) {
        done(error);
        throw error;
      }
    };
  }

  /** Takes down a call that never came to its answer, because nobody knows who makes it. */
  refused(path: string, peer: string, error: unknown): void {
    const method = path.slice(path.lastIndexOf('/') + 1);
    this.#note(method, { identity: 'unknown', peer, budget: '' }, this.#options.now(), {}, error);
  }

  #whoIs(call: MeteredCall): Who {
    const identity = this.#options.identityOf(call);
    const peer = call.getPeer();
    return {
      identity,
      peer,
      budget: identity === ANONYMOUS ? `${ANONYMOUS} at ${addressOf(peer)}` : identity,
    };
  }

  #note(method: string, { identity, peer }: Who, since: number, request: object, error: unknown): void {
    const { access, now } = this.#options;
    if (access === undefined) return;
    const outcome = error === undefined ? 'OK' : outcomeOf(error);
    access.note({ method, identity, peer, outcome, ms: now() - since, touched: () => touchedBy(request) });
  }
}

function outcomeOf(error: unknown): string {
  return typeof error === 'string' ? error : (codeOf(error) ?? 'EC_INTERNAL');
}

/** Code of the first lookup of a batch that was refused. */
function refusalIn(answers: readonly (Answer | undefined)[]): string | undefined {
  return answers.find((answer) => answer?.refusal !== undefined)?.refusal?.code;
}

export interface BuildOptions {
  readonly config: Security;
  readonly registry: Registry;
  readonly log: Logger;
  /** Undefined: nobody has a name. */
  readonly guard: PortGuard | undefined;
  readonly now: () => number;
  readonly random: () => number;
}

/** Nothing where neither rates nor the access log ask for it, so that calls cost nothing more. */
export function buildCallMeter({
  config,
  registry,
  log,
  guard,
  now,
  random,
}: BuildOptions): CallMeter | undefined {
  const { limits, accessLog } = config;
  const perSecond = limits.requestsPerSecond;
  const limiter = perSecond === 0 ? undefined : new RateLimiter({ perSecond, now });
  const access =
    accessLog === undefined ? undefined : new AccessLog({ settings: accessLog, log, now, random });
  const metrics = new Declarations(registry);
  metrics.counter(
    'rate_limited_items',
    'Lookups and other items that were refused because their caller asks for more than requestsPerSecond.',
    () => limiter?.refused ?? 0,
  );
  metrics.counter('access_log_lines', 'Lines of the access log.', () => access?.written ?? 0);
  metrics.counter(
    'access_log_dropped',
    'Lines of the access log that were dropped because there were more than maxPerSecond.',
    () => access?.dropped ?? 0,
  );
  if (limiter === undefined && access === undefined) return undefined;
  const identityOf = ({ metadata }: MeteredCall): string =>
    guard?.callerOf(metadata).identity.name ?? ANONYMOUS;
  const meter = new CallMeter({ limiter, access, identityOf, now });
  if (guard !== undefined) guard.refused = (path, peer, error) => meter.refused(path, peer, error);
  return meter;
}

/** Without the port, which differs for each connection. */
function addressOf(peer: string): string {
  const colon = peer.lastIndexOf(':');
  return colon < 0 ? peer : peer.slice(0, colon);
}
