import { AgentError } from '../errors.ts';
import { ANONYMOUS, type Authenticator, type Certificate, type Identity, type Shown } from './identity.ts';
import { digestOf, type StaticTokens } from './static-tokens.ts';
import type { TokenReviews } from './token-reviews.ts';

export interface PortAuthenticatorOptions {
  /** Whether who shows nothing is refused. */
  readonly required: boolean;
  readonly tokens: StaticTokens;
  /** Undefined: tokens of ServiceAccounts are not taken. */
  readonly reviews: TokenReviews | undefined;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

const BEARER = /^Bearer ([\x21-\x7e]{1,16384})$/i;

/** Knows callers by their token, or else by their certificate. A token that is refused is never made up for by a certificate. */
export class PortAuthenticator implements Authenticator {
  readonly #options: PortAuthenticatorOptions;

  constructor(options: PortAuthenticatorOptions) {
    this.#options = options;
  }

  identify({ authorization, certificate }: Shown): Identity | Promise<Identity> {
    if (authorization !== undefined) return this.#byToken(authorization);
    if (certificate !== undefined) return this.#byCertificate(certificate);
    if (!this.#options.required) return ANONYMOUS;
    throw refused('the call has no token and comes with no certificate of a trusted authority');
  }

  #byToken(authorization: string): Identity | Promise<Identity> {
    const { tokens, reviews } = this.#options;
    const token = BEARER.exec(authorization)?.[1];
    if (token === undefined) throw refused('the header authorization must be "Bearer " and a token');
    const digest = digestOf(token);
    const identity = tokens.find(digest);
    if (identity !== undefined) return identity;
    if (reviews !== undefined) return reviews.identify(token, digest);
    throw refused('the token is none that this agent takes');
  }

  #byCertificate({ name, endsAt }: Certificate): Identity {
    const { now, wallClock } = this.#options;
    const leftMs = endsAt - wallClock();
    if (leftMs <= 0) throw refused('the certificate has ended since the connection was made');
    return { name: `cert:${name}`, expiresAt: now() + leftMs };
  }
}

function refused(why: string): AgentError {
  return new AgentError('EC_UNAUTHENTICATED', why);
}
