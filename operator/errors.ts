/** What the API server answered when it refused. */
export class KubeError extends Error {
  readonly code = 'ECO_API';
  readonly status: number;
  readonly reason: string;
  readonly retryAfterMs: number | undefined;

  constructor(request: string, status: number, reason: string, message: string, retryAfterMs?: number) {
    super(`${request}: ${status} ${reason}: ${message}`);
    this.name = 'KubeError';
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

/** A stream of a watch ended in a way that a new watch does not mend by itself. */
export class WatchGoneError extends Error {
  readonly code = 'ECO_WATCH_GONE';
}

/** Trying again does not help until somebody changes something. */
export class TerminalError extends Error {
  readonly code: string = 'ECO_TERMINAL';
}

/** An object of the name that a child needs is there already and is not ours. */
export class NameTakenError extends TerminalError {
  override readonly code = 'ECO_NAME_TAKEN';

  constructor(kind: string, name: string) {
    super(
      `${kind} '${name}' exists and does not belong to this tier; delete or rename it, or rename the tier`,
    );
    this.name = 'NameTakenError';
  }
}

/** The operator may not make or change the Secret: by its rights, or because the Secret is not one of its own. */
export class CertificateRefusedError extends TerminalError {
  override readonly code = 'ECO_CERTIFICATE_REFUSED';

  constructor(name: string, cause: Error) {
    super(
      `the cluster does not let the operator write Secret '${name}': install the chart with certificates.enabled=true, delete a Secret of this name that is not the operator's, or name one by security.tls.secretName or security.tls.issuerRef`,
      { cause },
    );
    this.name = 'CertificateRefusedError';
  }
}

/** A tier names an issuer, and the cluster has nobody who would ask it. */
export class IssuerMissingError extends TerminalError {
  override readonly code = 'ECO_ISSUER_MISSING';

  constructor() {
    super(
      'security.tls.issuerRef needs cert-manager, which this cluster does not have: install it, or remove issuerRef and the operator makes the certificate',
    );
    this.name = 'IssuerMissingError';
  }
}

/** Agents that take tokens of ServiceAccounts could not have them reviewed. */
export class TokenReviewRefusedError extends TerminalError {
  override readonly code = 'ECO_TOKEN_REVIEW_REFUSED';

  constructor(bindingName: string, cause: Error) {
    super(
      `security.auth.serviceAccounts needs ClusterRoleBinding '${bindingName}', which the operator may not change or which is not there: install the chart with tokenReviews.enabled=true`,
      { cause },
    );
    this.name = 'TokenReviewRefusedError';
  }
}

export class LeaseLostError extends Error {
  readonly code = 'ECO_LEASE_LOST';
}

const hasStatus = (error: unknown, status: number) => error instanceof KubeError && error.status === status;

export const isNotFound = (error: unknown): boolean => hasStatus(error, 404);
export const isConflict = (error: unknown): boolean => hasStatus(error, 409);
/** What was sent breaks a rule of the object's kind. */
export const isInvalid = (error: unknown): boolean => hasStatus(error, 422);
/** The resource version or continue token is too old: list anew. */
export const isGone = (error: unknown): boolean =>
  error instanceof WatchGoneError ||
  hasStatus(error, 410) ||
  (error instanceof KubeError && error.reason === 'Expired');

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
