import type { IncomingHttpHeaders } from 'node:http';
import { AgentError } from '../errors.ts';
import { type AccessRules, Caller } from '../security/access-rules.ts';
import type { Authenticator } from '../security/identity.ts';
import { isTrustedHost } from './hosts.ts';
import { UiError } from './reply.ts';

export interface UiAccessOptions {
  /** Who callers are and what they may do; without an authenticator everybody may do everything. */
  readonly security: () => { readonly authenticator: Authenticator | undefined; readonly rules: AccessRules };
  /** Names by which the page may be opened, beside those that are always trusted. */
  readonly hosts: () => readonly string[];
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** A stream that stands ends by itself after so long: the page asks again, and who it is is made sure of anew. */
const STREAM_MS = 60_000;
const STATUS: Readonly<Partial<Record<AgentError['code'], number>>> = {
  EC_UNAUTHENTICATED: 401,
  EC_AUTH_UNAVAILABLE: 503,
  EC_PERMISSION_DENIED: 403,
  EC_UNKNOWN_NAMESPACE: 404,
};

/** One who asks for the page’s data. */
export interface UiVisitor {
  /** @throws AgentError EC_PERMISSION_DENIED where it may not see what Stats says */
  checkStats(): void;
  /** @throws AgentError EC_PERMISSION_DENIED where it may not read in one of them */
  checkRead(namespaces: readonly string[]): void;
  /** Whether a stream that was begun may go on. */
  isStill(namespaces: readonly string[]): boolean;
}

const ANYBODY: UiVisitor = { checkStats: () => undefined, checkRead: () => undefined, isStill: () => true };

/** Lets in who may see the page’s data: by the rules of the gRPC port, with a token in the same header. */
export class UiAccess {
  readonly #options: UiAccessOptions;

  constructor(options: UiAccessOptions) {
    this.#options = options;
  }

  /** @throws UiError, AgentError */
  async admit({ host, authorization }: IncomingHttpHeaders): Promise<UiVisitor> {
    const { security, hosts, now } = this.#options;
    if (!isTrustedHost(host, hosts()))
      throw new UiError(
        421,
        `got the host ${JSON.stringify(host)}; must be an address, localhost or a name in the cluster, or be listed in ui.hosts`,
      );
    const { authenticator, rules } = security();
    if (authenticator === undefined) return ANYBODY;
    const identity = await authenticator.identify({ authorization, certificate: undefined });
    return visitor(new Caller(identity, rules), Math.min(identity.expiresAt, now() + STREAM_MS), now);
  }
}

function visitor(caller: Caller, until: number, now: () => number): UiVisitor {
  return {
    checkStats: () => caller.checkAdmin('the page (/ui)'),
    checkRead: (namespaces) => {
      for (const namespace of namespaces) caller.check('read', namespace);
    },
    isStill: (namespaces) => now() < until && namespaces.every((namespace) => caller.may('read', namespace)),
  };
}

/** What the page is told where its question is refused. */
export function statusOf(error: unknown): number {
  if (error instanceof UiError) return error.status;
  return error instanceof AgentError ? (STATUS[error.code] ?? 500) : 500;
}
