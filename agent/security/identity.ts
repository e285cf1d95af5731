/** Who is asking. */
export interface Identity {
  /** `token:<name>`, `serviceaccount:<namespace>/<name>`, `cert:<name>` or `anonymous`. */
  readonly name: string;
  /** Monotonic milliseconds after which it has to be made sure of again. */
  readonly expiresAt: number;
}

/** What a caller shows of itself. */
export interface Shown {
  /** The header `authorization`; undefined: there is none. */
  readonly authorization: string | undefined;
  /** Of the client's certificate, as TLS has verified it; undefined: there is none. */
  readonly certificate: Certificate | undefined;
}

export interface Certificate {
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly endsAt: number;
}

/** Tells who somebody is by what they show, whatever port they come to. */
export interface Authenticator {
  /**
   * At once where that is known.
   * @throws AgentError EC_UNAUTHENTICATED where it is refused, EC_AUTH_UNAVAILABLE where nobody can tell now
   */
  identify(shown: Shown): Identity | Promise<Identity>;
}

export const ANONYMOUS: Identity = { name: 'anonymous', expiresAt: Number.POSITIVE_INFINITY };

/** What of a peer's certificate is used, as Node describes it. */
interface PeerNames {
  readonly subject?: { readonly CN?: string | string[] };
  readonly subjectaltname?: string;
  readonly valid_to: string;
}

/** Without quotes, commas and control characters: what could make one name look like two is none. */
const NAME = /^[\x21\x23-\x2b\x2d-\x7e ]{1,256}$/;
const ALTERNATIVE = /^(URI|DNS):(.+)$/;

/** The common name, else the first URI or DNS name. Undefined: there is none that can be used. */
export function certificateOf({ subject, subjectaltname, valid_to }: PeerNames): Certificate | undefined {
  const endsAt = Date.parse(valid_to);
  const alternatives = (subjectaltname ?? '').split(', ').map((one) => ALTERNATIVE.exec(one));
  const firstOf = (kind: string) => alternatives.find((one) => one?.[1] === kind)?.[2];
  const names = [subject?.CN, firstOf('URI'), firstOf('DNS')];
  const name = names.find((one): one is string => typeof one === 'string' && NAME.test(one));
  return name === undefined || Number.isNaN(endsAt) ? undefined : { name, endsAt };
}
