import { z } from 'zod';
import { accessLogSchema } from './access-log.ts';
import { accessRuleSchema, authSchema } from './port-auth.ts';
import { limitsSchema } from './port-limits.ts';
import { dnsName } from './tier-deployment.ts';

/** Protection of a tier's agents as a user writes it: Secrets and issuers where an agent's own file has paths. */

const CLIENT_CERT_MODES = ['none', 'optional', 'require'] as const;

const issuerRefSchema = z.strictObject({
  name: dnsName('an issuer’s name').describe('Name of the issuer.'),
  kind: z
    .string()
    .min(1)
    .max(63)
    .regex(/^[A-Za-z][A-Za-z0-9]*$/, 'must be the kind of an issuer, such as Issuer or ClusterIssuer')
    .default('Issuer')
    .describe('Issuer (of the tier’s namespace), ClusterIssuer, or a kind of another group.'),
  group: dnsName('the group of an issuer')
    .default('cert-manager.io')
    .describe('API group of the issuer’s kind.'),
});

const tierTlsSchema = z.strictObject({
  enabled: z
    .boolean()
    .default(false)
    .describe(
      'Whether the agents’ gRPC port speaks TLS, and nothing else. With neither secretName nor issuerRef the operator makes the certificate, renews it, and tells its authority in ConfigMap edgecache-<tier>-ca.',
    ),
  secretName: dnsName('a Secret’s name')
    .optional()
    .describe(
      'Secret in the tier’s namespace with a certificate of yours: tls.crt, tls.key, and ca.crt where clients show certificates.',
    ),
  issuerRef: issuerRefSchema.optional().describe('Issuer of cert-manager that is asked for the certificate.'),
  clientCert: z
    .enum(CLIENT_CERT_MODES, 'must be none, optional or require')
    .default('none')
    .describe(
      'Whether clients are asked for a certificate, which must be of the authorities in ca.crt of the Secret.',
    ),
});

const { required, serviceAccounts, audience } = authSchema.shape;
const tierAuthSchema = z.strictObject({
  required: required.describe('Whether callers must say who they are.'),
  tokenSecretName: dnsName('a Secret’s name')
    .optional()
    .describe(
      'Secret in the tier’s namespace whose key tokens holds what callers may show: `token` or `name=token`, a line each. Read again when it changes.',
    ),
  serviceAccounts: serviceAccounts.describe(
    'Whether tokens of Kubernetes ServiceAccounts are taken, as the API server verifies them.',
  ),
  audience: audience.describe(
    'Audience that ServiceAccount tokens must be made for; default: the API server’s own.',
  ),
});

/** Fewer than an agent takes: the API server bounds what the rules of a CRD may cost. */
const tierRuleSchema = accessRuleSchema.extend({
  identities: accessRuleSchema.shape.identities
    .max(64)
    .describe('token:NAME, serviceaccount:NAMESPACE/NAME, cert:NAME or anonymous; `*` at the end: anything.'),
});

export const tierSecuritySchema = z.strictObject({
  tls: tierTlsSchema.prefault({}).describe('TLS of the agents’ gRPC port.'),
  auth: tierAuthSchema.prefault({}).describe('Who callers of the gRPC port must be.'),
  accessRules: z
    .array(tierRuleSchema)
    .max(64)
    .optional()
    .describe(
      'Which identity may do what; what no rule allows is denied. Without this field: tokens of tokenSecretName may do everything, nobody else anything. Changed without a restart.',
    ),
  limits: limitsSchema.optional().describe('What one caller may take of an agent.'),
  accessLog: accessLogSchema
    .optional()
    .describe('Lines in the agents’ log for who did what. Without it there are none.'),
});

export type TierSecurity = z.infer<typeof tierSecuritySchema>;

/** Rules across fields. The CRD has each of them as CEL: see hack/crd/rules.ts. */
export function checkTierSecurity(
  security: TierSecurity,
  fail: (path: string[], remedy: string) => void,
): void {
  checkTierTls(security.tls, fail);
  checkTierAuth(security, fail);
}

function checkTierTls(tls: TierSecurity['tls'], fail: (path: string[], remedy: string) => void): void {
  const { enabled, secretName, issuerRef, clientCert } = tls;
  const isNamed = secretName !== undefined || issuerRef !== undefined;
  if (!enabled && (isNamed || clientCert !== 'none'))
    fail(['tls', 'enabled'], 'must be true where other fields of tls are given; or remove those');
  if (secretName !== undefined && issuerRef !== undefined)
    fail(['tls', 'issuerRef'], 'may not be specified together with secretName; remove one of the two');
  if (enabled && clientCert !== 'none' && !isNamed)
    fail(
      ['tls', 'clientCert'],
      'must be none where the operator makes the certificate, since it makes none for clients; give secretName or issuerRef',
    );
}

/** Nothing that looks protected may stand open, and somebody must be able to get in: as api/port-auth.ts has it. */
function checkTierAuth(
  { tls, auth, accessRules }: TierSecurity,
  fail: (path: string[], remedy: string) => void,
): void {
  const hasTokens = auth.tokenSecretName !== undefined;
  const isVerified = auth.serviceAccounts || tls.clientCert !== 'none';
  if (!auth.required && accessRules === undefined && (hasTokens || auth.serviceAccounts))
    fail(
      ['auth', 'required'],
      'must be true where tokens are taken, or accessRules say what callers without one may do',
    );
  if (auth.required && !hasTokens && !isVerified)
    fail(
      ['auth', 'required'],
      'needs auth.tokenSecretName, auth.serviceAccounts or tls.clientCert, or nobody could get in',
    );
  if (auth.required && accessRules === undefined && isVerified && !hasTokens)
    fail(
      ['accessRules'],
      'must say what ServiceAccounts and certificates may do: without rules they may do nothing',
    );
  if (auth.audience !== undefined && !auth.serviceAccounts)
    fail(['auth', 'audience'], 'may be specified only when auth.serviceAccounts is true');
}
