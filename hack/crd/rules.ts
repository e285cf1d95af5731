import { DEFAULT_NAMESPACES, resolveNamespace } from '../../api/namespace.ts';
import type { CelRule } from './structural-schema.ts';

/** What zod cannot say in JSON schema: extensions and bounds, by path below `spec`. */
export const EXTENSIONS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  namespaces: { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] },
  imagePullSecrets: { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] },
  tolerations: { 'x-kubernetes-list-type': 'atomic' },
  nodeSelector: { 'x-kubernetes-map-type': 'atomic', maxProperties: 32 },
  'monitoring.labels': { maxProperties: 16 },
  'redis.nodes': { 'x-kubernetes-list-type': 'atomic' },
  'redis.passwordSecretRef': { 'x-kubernetes-map-type': 'atomic' },
  'redis.sentinelPasswordSecretRef': { 'x-kubernetes-map-type': 'atomic' },
  'security.accessRules': { 'x-kubernetes-list-type': 'atomic' },
  'security.tls.issuerRef': { 'x-kubernetes-map-type': 'atomic' },
  'networkPolicy.clientNamespaces': { 'x-kubernetes-list-type': 'set' },
  'networkPolicy.clientCidrs': { 'x-kubernetes-list-type': 'set' },
  'networkPolicy.metricsNamespaces': { 'x-kubernetes-list-type': 'set' },
  'networkPolicy.apiServerPorts': { 'x-kubernetes-list-type': 'set' },
  'networkPolicy.redisPorts': { 'x-kubernetes-list-type': 'set' },
};

/** A CEL expression for what a namespace has by its well-known name, where the author says nothing. */
function wellKnown(pick: (name: ReturnType<typeof resolveNamespace>) => unknown): string {
  const DAY_SECONDS = 86_400;
  const general = pick(resolveNamespace({ name: 'any-other' }, DAY_SECONDS));
  return DEFAULT_NAMESPACES.map((spec) => resolveNamespace(spec, DAY_SECONDS))
    .filter((ns) => pick(ns) !== general)
    .reduceRight((rest, ns) => `self.name == '${ns.name}' ? ${pick(ns)} : ${rest}`, `${general}`);
}

const TTL = `(has(self.ttlSeconds) ? self.ttlSeconds : ${wellKnown((ns) => ns.ttlSeconds)})`;
const EVENT_DRIVEN = `(has(self.eventDriven) ? self.eventDriven : (${wellKnown((ns) => ns.eventDriven)}))`;
const CRITICAL = `(has(self.critical) ? self.critical : (${wellKnown((ns) => ns.critical)}))`;
const PORT = "int(self.substring(self.lastIndexOf(':') + 1))";

const INT_OR_PERCENT =
  "type(self) == int ? self >= 0 && self <= 10000 : self.size() <= 4 && self.matches('^([1-9]?[0-9]|100)%$')";
const NODE_COUNT: CelRule = {
  rule: INT_OR_PERCENT,
  message: 'must be a number of nodes, such as 1, or a share of them, such as "10%"',
};

/** Rules across fields as CEL, by path below `spec`. The same rules as in api/: a table of tests holds them together. */
export const RULES: Readonly<Record<string, readonly CelRule[]>> = {
  cacheId: [
    {
      rule: 'self == oldSelf',
      message: 'cacheId is immutable: another cache is another tier; make a new one and delete this',
    },
  ],
  partitions: [
    {
      rule: 'self == oldSelf',
      message: 'partitions is immutable: the cache was made with it; use a new cacheId in a new tier',
    },
  ],
  'namespaces.items': [
    {
      rule: `!has(self.l1TtlSeconds) || self.l1TtlSeconds <= ${TTL}`,
      message: 'must be at most ttlSeconds (of this namespace, or the well-known one of its name)',
      fieldPath: '.l1TtlSeconds',
    },
    {
      rule: `!has(self.invalidatedBy) || self.invalidatedBy.size() == 0 || ${EVENT_DRIVEN}`,
      message: 'may not be specified when eventDriven is false',
      fieldPath: '.invalidatedBy',
    },
    {
      rule: `!has(self.adaptiveTtl) || ${EVENT_DRIVEN}`,
      message: 'may be specified only when eventDriven is true: without events changes are not known',
      fieldPath: '.adaptiveTtl',
    },
    {
      rule: `!has(self.adaptiveTtl) || self.adaptiveTtl.minSeconds <= ${TTL}`,
      message:
        'adaptiveTtl.minSeconds must be at most ttlSeconds (of this namespace, or the well-known one of its name)',
      fieldPath: '.adaptiveTtl',
    },
    {
      rule: `!has(self.adaptiveTtl) || self.adaptiveTtl.maxSeconds >= ${TTL}`,
      message:
        'adaptiveTtl.maxSeconds must be at least ttlSeconds (of this namespace, or the well-known one of its name)',
      fieldPath: '.adaptiveTtl',
    },
    {
      rule: '!(has(self.encrypt) && self.encrypt) || !has(self.pushValueBytes) || self.pushValueBytes == 0',
      message: 'must be 0 or left out when encrypt is true: values in messages are not encrypted',
      fieldPath: '.pushValueBytes',
    },
    {
      rule: `!${CRITICAL} || ${EVENT_DRIVEN}`,
      message: 'may be true only when eventDriven is true; set eventDriven, or critical to false',
      fieldPath: '.critical',
    },
  ],
  redis: [
    {
      rule: "self.mode != 'cluster' || self.db == 0",
      message: 'must be 0 in cluster mode; Redis Cluster has no other',
      fieldPath: '.db',
    },
    ...['caSecretName', 'certSecretName'].map((field) => ({
      rule: `!has(self.${field}) || self.tls`,
      message: 'may be specified only when redis.tls is true',
      fieldPath: `.${field}`,
    })),
    ...['sentinelUsername', 'sentinelPasswordSecretRef'].map((field) => ({
      rule: `!has(self.${field}) || self.mode == 'sentinel'`,
      message: 'may be specified only when redis.mode is sentinel',
      fieldPath: `.${field}`,
    })),
  ],
  'redis.nodes.items': [
    {
      // Where the text is no host:port at all, the other rule says so.
      rule: `!self.matches(':[0-9]{1,5}$') || (${PORT} >= 1 && ${PORT} <= 65535)`,
      message: 'must have a port from 1 to 65535',
    },
  ],
  security: [
    {
      rule: '!(has(self.auth.tokenSecretName) || self.auth.serviceAccounts) || self.auth.required || has(self.accessRules)',
      message:
        'auth.required must be true where tokens are taken, or accessRules say what callers without one may do',
    },
    {
      rule: "!self.auth.required || has(self.auth.tokenSecretName) || self.auth.serviceAccounts || self.tls.clientCert != 'none'",
      message:
        'auth.required needs auth.tokenSecretName, auth.serviceAccounts or tls.clientCert, or nobody could get in',
    },
    {
      rule: "!self.auth.required || has(self.accessRules) || has(self.auth.tokenSecretName) || !(self.auth.serviceAccounts || self.tls.clientCert != 'none')",
      message:
        'accessRules must say what ServiceAccounts and certificates may do: without rules they may do nothing',
    },
  ],
  'security.auth': [
    {
      rule: '!has(self.audience) || self.serviceAccounts',
      message: 'may be specified only when auth.serviceAccounts is true',
      fieldPath: '.audience',
    },
  ],
  'security.tls': [
    {
      rule: "self.enabled || !(has(self.secretName) || has(self.issuerRef) || self.clientCert != 'none')",
      message: 'must be true where other fields of tls are given; or remove those',
      fieldPath: '.enabled',
    },
    {
      rule: '!(has(self.secretName) && has(self.issuerRef))',
      message: 'may not be specified together with secretName; remove one of the two',
      fieldPath: '.issuerRef',
    },
    {
      rule: "!self.enabled || self.clientCert == 'none' || has(self.secretName) || has(self.issuerRef)",
      message:
        'must be none where the operator makes the certificate, since it makes none for clients; give secretName or issuerRef',
      fieldPath: '.clientCert',
    },
  ],
  'rollout.maxUnavailable': [NODE_COUNT],
  'rollout.maxSurge': [NODE_COUNT],
  rollout: [
    {
      rule: '!(has(self.maxUnavailable) && has(self.maxSurge))',
      message: 'may not be specified together with maxUnavailable; remove one of the two',
      fieldPath: '.maxSurge',
    },
    {
      rule: "(!has(self.maxUnavailable) || (self.maxUnavailable != 0 && self.maxUnavailable != '0%')) && (!has(self.maxSurge) || (self.maxSurge != 0 && self.maxSurge != '0%'))",
      message: 'must let at least one node change at a time; give a number above 0',
    },
  ],
  access: [
    {
      rule: "self.mode != 'HostPort' || has(self.hostPort)",
      message: 'hostPort must be given when access.mode is HostPort',
    },
    {
      rule: "self.mode == 'HostPort' || !has(self.hostPort)",
      message: 'may be specified only when access.mode is HostPort',
      fieldPath: '.hostPort',
    },
  ],
  '': [
    {
      rule: '!self.namespaces.exists(ns, has(ns.encrypt) && ns.encrypt) || has(self.encryption.secretName)',
      message: 'encrypt of a namespace needs keys: give encryption.secretName, or leave it out',
    },
    {
      rule: '!has(self.security.limits) || self.namespaces.all(ns, (has(ns.maxValueBytes) ? ns.maxValueBytes : 1048576) + 131072 <= self.security.limits.maxMessageBytes)',
      message:
        'security.limits.maxMessageBytes must leave 128 KiB beside the largest value that a namespace accepts (maxValueBytes, default 1 MiB)',
    },
    {
      rule: "self.access.mode != 'HostPort' || !has(self.rollout.maxSurge)",
      message: 'rollout.maxSurge may not be specified when access.mode is HostPort; use maxUnavailable',
    },
    {
      rule: 'quantity(self.l1.maxBytes).isLessThan(quantity(self.resources.limits.memory))',
      message: 'l1.maxBytes must be less than resources.limits.memory; raise the limit or lower maxBytes',
    },
  ],
};

/** Rules on the object as a whole: only its name can be seen there. */
export const NAME_RULES: readonly CelRule[] = [
  {
    rule: 'size(self.metadata.name) <= 40',
    message: 'metadata.name must be at most 40 characters',
  },
  {
    rule: "self.metadata.name.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",
    message: 'metadata.name must be lower case letters, digits and "-", such as edge-us-east',
  },
];
