import { z } from 'zod';
import { type InputProblem, InvalidInputError } from './errors.ts';

export const ACTIONS = ['read', 'write', 'invalidate', 'admin'] as const;
export type Action = (typeof ACTIONS)[number];

/** Who callers of the gRPC port must be. */
export const authSchema = z.strictObject({
  required: z
    .boolean()
    .default(false)
    .describe('Whether callers must say who they are. Environment: CACHE_REQUIRE_AUTH.'),
  tokenFile: z
    .string()
    .min(1, 'must be a path')
    .max(4096)
    .optional()
    .describe(
      'Tokens that callers may show, `token` or `name=token`, a line each; read again when it changes. Environment: CACHE_AUTH_TOKEN_FILE.',
    ),
  serviceAccounts: z
    .boolean()
    .default(false)
    .describe(
      'Whether tokens of Kubernetes ServiceAccounts are taken, as the API server verifies them. Environment: CACHE_AUTH_SERVICE_ACCOUNTS.',
    ),
  audience: z
    .string()
    .min(1, 'must not be empty')
    .max(256)
    .optional()
    .describe(
      'Audience that ServiceAccount tokens must be made for; default: the API server’s own. Environment: CACHE_AUTH_AUDIENCE.',
    ),
});

const identityPattern = z
  .string()
  .max(300)
  .regex(
    /^(\*|anonymous|(token|serviceaccount|cert):[^*]*\*?)$/,
    'must be token:NAME, serviceaccount:NAMESPACE/NAME, cert:NAME or anonymous; a * at the end stands for anything',
  );

const namespacePattern = z
  .string()
  .max(64)
  .regex(/^([a-z][a-z0-9_-]*)?\*?$/, 'must be a namespace of the cache; a * at the end stands for anything')
  .min(1, 'must not be empty');

export const accessRuleSchema = z.strictObject({
  identities: z
    .array(identityPattern)
    .min(1, 'must name at least one identity')
    .max(256)
    .describe('token:NAME, serviceaccount:NAMESPACE/NAME, cert:NAME or anonymous; `*` at the end: anything.'),
  namespaces: z
    .array(namespacePattern)
    .min(1, 'must name at least one namespace')
    .max(64)
    .describe('Namespaces of the cache; `*` at the end: anything.'),
  allow: z
    .array(z.enum(ACTIONS, 'must be read, write, invalidate or admin'))
    .min(1, 'must allow something')
    .max(4)
    .describe('read, write, invalidate; admin: statistics, whatever the namespaces.'),
});

export const accessRulesSchema = z.array(accessRuleSchema).max(256);

export type AccessRule = z.output<typeof accessRuleSchema>;

/** A token that a caller may show, and the name that it has in rules: `token:<name>`. */
export interface NamedToken {
  readonly name: string;
  readonly token: string;
}

interface AuthParts {
  readonly auth: z.output<typeof authSchema>;
  readonly accessRules?: readonly AccessRule[] | undefined;
  readonly tls: { readonly clientCert: 'none' | 'optional' | 'require' };
}

/** Rules across fields: nothing that looks protected may stand open, and somebody must be able to get in. */
export function authProblems(
  { auth, accessRules, tls }: AuthParts,
  tokens: readonly NamedToken[],
): InputProblem[] {
  const problems: InputProblem[] = [];
  const fail = (path: string, given: string, remedy: string) =>
    problems.push({ path: `security.${path}`, given, remedy });
  const hasTokens = tokens.length > 0 || auth.tokenFile !== undefined;
  const verified = auth.serviceAccounts || tls.clientCert !== 'none';
  if (!auth.required && accessRules === undefined && (hasTokens || auth.serviceAccounts))
    fail(
      'auth.required',
      'false',
      'must be true (CACHE_REQUIRE_AUTH) where tokens are taken, or accessRules say what callers without one may do',
    );
  if (auth.required && !hasTokens && !verified)
    fail(
      'auth.required',
      'true',
      'needs tokens (CACHE_AUTH_TOKEN, CACHE_AUTH_TOKEN_FILE), ServiceAccounts (CACHE_AUTH_SERVICE_ACCOUNTS) or client certificates (CACHE_TLS_CLIENT_CERT), or nobody could get in',
    );
  if (auth.required && accessRules === undefined && verified && !hasTokens)
    fail(
      'accessRules',
      'nothing',
      'must say what ServiceAccounts and certificates may do: without rules, only tokens that the agent itself was given may do anything',
    );
  if (auth.audience !== undefined && !auth.serviceAccounts)
    fail('auth.audience', JSON.stringify(auth.audience), 'needs auth.serviceAccounts');
  return problems;
}

/** Shorter ones can be guessed. */
const MIN_TOKEN = 16;
const MAX_TOKENS = 256;
const TOKEN = /^[\x21-\x2b\x2d-\x7e]{16,4096}$/;
const NAMED = /^([A-Za-z0-9][A-Za-z0-9._-]{0,62})=(.{16,})$/;
const UNNAMED = 'default';

/**
 * Tokens of a list: `token` or `name=token`; in a file a line each, with comments behind `#`.
 * @throws InvalidInputError, which never repeats a token
 */
export function parseTokens(text: string, separator: ',' | '\n', what: string): NamedToken[] {
  const parts = text
    .split(separator)
    .map((part) => part.trim())
    .filter((part) => part !== '' && !(separator === '\n' && part.startsWith('#')));
  const problem = (given: string, remedy: string) =>
    new InvalidInputError('the list of tokens', [{ path: what, given, remedy }]);
  if (parts.length === 0) throw problem('no token', 'must hold at least one, or be removed');
  if (parts.length > MAX_TOKENS) throw problem(`${parts.length} tokens`, `must hold at most ${MAX_TOKENS}`);
  return parts.map((part, i) => {
    const [, name = UNNAMED, token = part] = NAMED.exec(part) ?? [];
    if (TOKEN.test(token)) return { name, token };
    throw problem(
      `${token.length} characters as token ${i + 1}`,
      `must be ${MIN_TOKEN} to 4096 printable characters of ASCII without space or comma, optionally behind a name and =`,
    );
  });
}
