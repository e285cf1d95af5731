export type Spec = Record<string, unknown>;

/** The smallest spec that is accepted, changed. */
export const good = (changes: Spec = {}): Spec => ({
  region: 'us-east',
  tier: 'edge',
  redis: { nodes: ['redis:6379'] },
  ...changes,
});
export const redis = (changes: Spec): Spec => good({ redis: { nodes: ['redis:6379'], ...changes } });
export const security = (changes: Spec): Spec => good({ security: changes });
const rules = (rule: Spec): Spec =>
  security({ auth: { required: true, tokenSecretName: 'tokens' }, accessRules: [rule] });
export const tls = (changes: Spec): Spec => good({ security: { tls: { enabled: true, ...changes } } });
export const namespaces = (...list: Spec[]): Spec => good({ namespaces: list });

/** What is wrong, and what the API server must say of it. zod must refuse each of them too. */
export const BAD: readonly (readonly [what: string, spec: Spec, message: string])[] = [
  ['no region', { tier: 'edge', redis: { nodes: ['r:1'] } }, 'spec.region: Required value'],
  ['no redis', { region: 'us-east', tier: 'edge' }, 'spec.redis: Required value'],
  [
    'a region in capitals',
    good({ region: 'US_East' }),
    'region must be lower case letters, digits and "-", such as us-east',
  ],
  [
    'an unknown tier',
    good({ tier: 'medium' }),
    'Unsupported value: "medium": supported values: "edge", "regional", "global"',
  ],
  [
    'an empty L1',
    good({ l1: { maxEntries: 0 } }),
    'spec.l1.maxEntries in body should be greater than or equal to 1',
  ],
  ['a huge L1', good({ l1: { maxEntries: 2_000_000 } }), 'should be less than or equal to 1000000'],
  [
    'a size in words',
    good({ l1: { maxBytes: '64 MB' } }),
    'must be a whole number of bytes with an optional unit k, M, G, Ki, Mi or Gi, such as 100M',
  ],
  [
    'an unknown policy',
    good({ l1: { policy: 'lfu' } }),
    'Unsupported value: "lfu": supported values: "default", "lru", "s3fifo", "tinylfu"',
  ],
  ['a text for a number', good({ l1: { ttlSeconds: '30s' } }), 'spec.l1.ttlSeconds: Invalid value: "string"'],
  [
    'more L1 than memory',
    good({ l1: { maxBytes: '1Gi' } }),
    'l1.maxBytes must be less than resources.limits.memory; raise the limit or lower maxBytes',
  ],
  [
    'an endpoint of traces without a scheme',
    good({ tracing: { endpoint: 'otel-collector:4318' } }),
    'must be the URL of an OTLP receiver over HTTP, such as http://otel-collector.monitoring.svc:4318',
  ],
  [
    'more than all traces',
    good({ tracing: { endpoint: 'http://otel-collector:4318', sampleRatio: 2 } }),
    'spec.tracing.sampleRatio in body should be less than or equal to 1',
  ],
  ['no namespace at all', good({ namespaces: [] }), 'spec.namespaces in body should have at least 1 items'],
  [
    'a namespace twice',
    namespaces({ name: 'a' }, { name: 'a' }),
    'spec.namespaces[1]: Duplicate value: {"name":"a"}',
  ],
  [
    'a namespace with a bad name',
    namespaces({ name: 'GPU' }),
    'must start with a letter and have only a-z, 0-9, "_" and "-"',
  ],
  [
    'L1 TTL above the TTL',
    namespaces({ name: 'a', ttlSeconds: 5, l1TtlSeconds: 6 }),
    'spec.namespaces[0].l1TtlSeconds: Invalid value: must be at most ttlSeconds',
  ],
  [
    'L1 TTL above the well-known TTL',
    namespaces({ name: 'order_book', l1TtlSeconds: 6 }),
    'must be at most ttlSeconds',
  ],
  [
    'critical without events',
    namespaces({ name: 'a', critical: true, eventDriven: false }),
    'spec.namespaces[0].critical: Invalid value: may be true only when eventDriven is true',
  ],
  [
    'a critical well-known name without events',
    namespaces({ name: 'gpu_avail', eventDriven: false }),
    'may be true only when eventDriven is true',
  ],
  [
    'invalidatedBy without events',
    namespaces({ name: 'a', eventDriven: false, invalidatedBy: ['x'] }),
    'may not be specified when eventDriven is false',
  ],
  [
    'an event type in capitals',
    namespaces({ name: 'a', invalidatedBy: ['Booked'] }),
    'must be lower snake case, such as pricing_updated',
  ],
  [
    'an adaptive TTL without events',
    namespaces({ name: 'historical', adaptiveTtl: { minSeconds: 60, maxSeconds: 7200 } }),
    'spec.namespaces[0].adaptiveTtl: Invalid value: may be specified only when eventDriven is true',
  ],
  [
    'an adaptive TTL from above the TTL',
    namespaces({ name: 'a', ttlSeconds: 5, adaptiveTtl: { minSeconds: 6, maxSeconds: 60 } }),
    'adaptiveTtl.minSeconds must be at most ttlSeconds',
  ],
  [
    'an adaptive TTL to below the well-known TTL',
    namespaces({ name: 'gpu_pricing', adaptiveTtl: { minSeconds: 5, maxSeconds: 59 } }),
    'adaptiveTtl.maxSeconds must be at least ttlSeconds',
  ],
  [
    'an adaptive TTL without an end',
    namespaces({ name: 'a', adaptiveTtl: { minSeconds: 5 } }),
    'spec.namespaces[0].adaptiveTtl.maxSeconds: Required value',
  ],
  ['no Redis node', redis({ nodes: [] }), 'spec.redis.nodes in body should have at least 1 items'],
  [
    'a Redis node without a port',
    redis({ nodes: ['redis'] }),
    'spec.redis.nodes[0]: Invalid value: "redis": must be host:port, such as redis-0.redis:6379',
  ],
  ['a Redis port out of range', redis({ nodes: ['redis:70000'] }), 'must have a port from 1 to 65535'],
  [
    'a database in cluster mode',
    redis({ mode: 'cluster', db: 3 }),
    'spec.redis.db: Invalid value: must be 0 in cluster mode',
  ],
  ['an unknown Redis mode', redis({ mode: 'ring' }), 'supported values: "standalone", "sentinel", "cluster"'],
  [
    'one Redis connection',
    redis({ maxConnections: 1 }),
    'spec.redis.maxConnections in body should be greater than or equal to 2',
  ],
  [
    'a bad Secret name',
    redis({ passwordSecretRef: { name: 'My Secret' } }),
    'must be lower case letters, digits, "-" and "."',
  ],
  [
    'a Secret without a name',
    redis({ passwordSecretRef: {} }),
    'spec.redis.passwordSecretRef.name: Required value',
  ],
  [
    'an authority of a Redis without TLS',
    redis({ caSecretName: 'redis-ca' }),
    'spec.redis.caSecretName: Invalid value: may be specified only when redis.tls is true',
  ],
  [
    'a certificate for a Redis without TLS',
    redis({ certSecretName: 'redis-client' }),
    'spec.redis.certSecretName: Invalid value: may be specified only when redis.tls is true',
  ],
  [
    'a user of sentinels that there are not',
    redis({ mode: 'cluster', sentinelUsername: 'agent' }),
    'spec.redis.sentinelUsername: Invalid value: may be specified only when redis.mode is sentinel',
  ],
  [
    'a password of sentinels that there are not',
    redis({ sentinelPasswordSecretRef: { name: 'auth' } }),
    'spec.redis.sentinelPasswordSecretRef: Invalid value: may be specified only when redis.mode is sentinel',
  ],
  [
    'a bad node label',
    good({ nodeSelector: { zone: 'not a label!' } }),
    'must be a label value, such as us-east',
  ],
  ['CPU in words', good({ resources: { requests: { cpu: 'half' } } }), 'must be CPUs such as 250m, 1 or 0.5'],
  [
    'surge and unavailable',
    good({ rollout: { maxSurge: 1, maxUnavailable: 1 } }),
    'spec.rollout.maxSurge: Invalid value: may not be specified together with maxUnavailable',
  ],
  [
    'a rollout of nobody',
    good({ rollout: { maxUnavailable: 0 } }),
    'must let at least one node change at a time',
  ],
  [
    'a rollout of no share',
    good({ rollout: { maxUnavailable: '0%' } }),
    'must let at least one node change at a time',
  ],
  [
    'a share above all',
    good({ rollout: { maxUnavailable: '101%' } }),
    'must be a number of nodes, such as 1, or a share of them, such as "10%"',
  ],
  [
    'HostPort without a port',
    good({ access: { mode: 'HostPort' } }),
    'hostPort must be given when access.mode is HostPort',
  ],
  [
    'a port without HostPort',
    good({ access: { hostPort: 7480 } }),
    'may be specified only when access.mode is HostPort',
  ],
  [
    'HostPort with surge',
    good({ access: { mode: 'HostPort', hostPort: 7480 }, rollout: { maxSurge: 1 } }),
    'rollout.maxSurge may not be specified when access.mode is HostPort',
  ],
  [
    'a taint effect that is none',
    good({ tolerations: [{ effect: 'Never' }] }),
    'supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
  ],
  [
    'an image with a space',
    good({ image: 'edge cache' }),
    'must be an image, such as ghcr.io/acme/edgecache-agent:0.1.0',
  ],
  [
    'staleness too short',
    good({ maxStalenessMs: 10 }),
    'spec.maxStalenessMs in body should be greater than or equal to 100',
  ],
  [
    'a client namespace in capitals',
    good({ networkPolicy: { clientNamespaces: ['Shop'] } }),
    'must be the name of a namespace, or "*" for all',
  ],
  [
    'a URL for a host of the page',
    good({ ui: { hosts: ['https://cache'] } }),
    'must be a host name in lower case, such as cache.example.com',
  ],
  [
    'a client range without a length',
    good({ networkPolicy: { clientCidrs: ['10.0.0.0'] } }),
    'must be a range of addresses, such as 10.20.0.0/16 or 2001:db8::/32',
  ],
  [
    'a certificate without TLS',
    tls({ enabled: false, secretName: 'shop-tls' }),
    'spec.security.tls.enabled: Invalid value: must be true where other fields of tls are given',
  ],
  [
    'a Secret and an issuer',
    tls({ secretName: 'shop-tls', issuerRef: { name: 'ca' } }),
    'spec.security.tls.issuerRef: Invalid value: may not be specified together with secretName',
  ],
  [
    'certificates of clients that nobody makes',
    tls({ clientCert: 'require' }),
    'spec.security.tls.clientCert: Invalid value: must be none where the operator makes the certificate',
  ],
  [
    'an issuer without a name',
    tls({ issuerRef: { kind: 'ClusterIssuer' } }),
    'spec.security.tls.issuerRef.name: Required value',
  ],
  [
    'tokens that nobody must show',
    security({ auth: { tokenSecretName: 'tokens' } }),
    'auth.required must be true where tokens are taken',
  ],
  ['callers that cannot say who they are', security({ auth: { required: true } }), 'or nobody could get in'],
  [
    'ServiceAccounts that may do nothing',
    security({ auth: { required: true, serviceAccounts: true } }),
    'accessRules must say what ServiceAccounts and certificates may do',
  ],
  [
    'an audience of no tokens',
    security({ auth: { required: true, tokenSecretName: 'tokens', audience: 'edgecache' } }),
    'spec.security.auth.audience: Invalid value: may be specified only when auth.serviceAccounts is true',
  ],
  [
    'a rule for nobody',
    rules({ identities: [], namespaces: ['*'], allow: ['read'] }),
    'spec.security.accessRules[0].identities in body should have at least 1 items',
  ],
  [
    'a rule for an identity of no kind',
    rules({ identities: ['shop/web'], namespaces: ['*'], allow: ['read'] }),
    'must be token:NAME, serviceaccount:NAMESPACE/NAME, cert:NAME or anonymous',
  ],
  [
    'a rule that allows what there is not',
    rules({ identities: ['token:a'], namespaces: ['*'], allow: ['delete'] }),
    'supported values: "read", "write", "invalidate", "admin"',
  ],
  [
    'a port of the API server out of range',
    good({ networkPolicy: { apiServerPorts: [0] } }),
    'spec.networkPolicy.apiServerPorts[0] in body should be greater than or equal to 1',
  ],
  [
    'messages too small for the values',
    security({ limits: { maxMessageBytes: 1048576 } }),
    'security.limits.maxMessageBytes must leave 128 KiB beside the largest value',
  ],
  [
    'a sample of more than all',
    security({ accessLog: { sampleRate: 2 } }),
    'spec.security.accessLog.sampleRate in body should be less than or equal to 1',
  ],
  [
    'encryption without keys',
    namespaces({ name: 'a', encrypt: true }),
    'encrypt of a namespace needs keys: give encryption.secretName',
  ],
  [
    'encrypted values in messages',
    good({
      encryption: { secretName: 'keys' },
      namespaces: [{ name: 'a', encrypt: true, pushValueBytes: 100 }],
    }),
    'spec.namespaces[0].pushValueBytes: Invalid value: must be 0 or left out when encrypt is true',
  ],
  [
    'events that end at once',
    good({ eventLogSeconds: 5 }),
    'spec.eventLogSeconds in body should be greater than or equal to 60',
  ],
];
