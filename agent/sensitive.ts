import type { Namespace } from '../api/namespace.ts';
import { invalid } from './requests.ts';

interface Pattern {
  readonly name: string;
  readonly what: string;
  /** Linear: nothing that repeats can begin anew within what it has passed, or it is short. */
  readonly expression: RegExp;
}

/** What has no business in a cache; the names are documented, and told to callers. */
export const SENSITIVE_PATTERNS: readonly Pattern[] = [
  {
    name: 'private-key',
    what: 'a private key',
    expression: /-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----/,
  },
  {
    name: 'cloud-key',
    what: 'a key of a cloud account',
    // AWS; Google; Azure storage.
    expression:
      /(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])|(?<![\w-])AIza[\w-]{35}(?![\w-])|AccountKey=[A-Za-z0-9+/]{86}==/,
  },
  {
    name: 'service-token',
    what: 'a token of a service',
    // GitHub; GitLab; Slack; Stripe.
    expression:
      /(?<![A-Za-z0-9_])(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{22}|glpat-[\w-]{20}|xox[abeprs]-[A-Za-z0-9-]{10}|[rs]k_live_[A-Za-z0-9]{16})/,
  },
  {
    name: 'jwt',
    what: 'a JSON Web Token',
    expression: /(?<![\w-])eyJ[\w-]{8,4096}\.eyJ[\w-]{8,4096}\.[\w-]{16}/,
  },
  {
    name: 'bearer-token',
    what: 'a bearer token',
    expression: /(?<![A-Za-z])bearer {1,4}[A-Za-z0-9._~+/-]{20}/i,
  },
  {
    name: 'password',
    what: 'a password',
    // As a field of JSON, also within a text of JSON, and in a URL.
    expression:
      /"(?:password|passwd|passphrase|pwd|client_?secret|secret_?access_?key|secret_?key|api_?key|access_?token|refresh_?token)\\?"\s{0,4}:\s{0,4}\\?"[^"\\*]{4}|(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{1,20}:\/\/[^\s/:@"'\\]{0,64}:[^\s/@"'\\]{3,128}@/i,
  },
];

/** How much of a value is looked at: what leaks by mistake, a record or a file of configuration, has it early. */
export const SCANNED_BYTES = 64 * 1024;

/** The first pattern that is found. */
export function findSensitive(value: Buffer): Pattern | undefined {
  // One character a byte: cheap, and all that is looked for is ASCII.
  const text = value.toString('latin1', 0, Math.min(value.length, SCANNED_BYTES));
  return SENSITIVE_PATTERNS.find(({ expression }) => expression.test(text));
}

/** @throws InvalidInputError naming what it looks like, and never the value. */
export function checkSensitive(rules: Namespace, path: string, value: Buffer): void {
  if (rules.sensitive !== 'refuse') return;
  const found = findSensitive(value);
  if (found === undefined) return;
  throw invalid(
    path,
    `what looks like ${found.what} (pattern ${found.name})`,
    `must hold no secret: namespace '${rules.name}' refuses them (sensitive: refuse); store a reference to it instead`,
  );
}
