import { describe, expect, test } from 'vitest';
import { agentConfigSchema } from '../../api/agent-config.ts';
import { configHash } from '../../api/reload.ts';
import { fieldAt, type KubeObject } from '../kube/object.ts';
import { aTier, contextOf } from '../testing/a-tier.ts';
import { desiredChildren } from './desired.ts';

const everything = {
  datacenter: 'dc-1',
  l1: { maxEntries: 100, maxBytes: '32Mi', policy: 's3fifo' },
  redis: {
    mode: 'sentinel',
    nodes: ['s-0:26379', 's-1:26379'],
    username: 'agent',
    passwordSecretRef: { name: 'redis-auth', key: 'pass' },
    sentinelUsername: 'watcher',
    sentinelPasswordSecretRef: { name: 'sentinel-auth' },
    tls: true,
    caSecretName: 'redis-ca',
    certSecretName: 'redis-client',
  },
  encryption: { secretName: 'cache-keys' },
  eventLogSeconds: 600,
  namespaces: [{ name: 'gpu_avail', encrypt: true }],
  nodeSelector: { pool: 'edge' },
  tolerations: [{ key: 'edge', operator: 'Exists' }],
  resources: { requests: { cpu: '1000m' }, limits: { cpu: '2', memory: '1Gi' } },
  priorityClassName: 'system-node-critical',
  image: 'registry/agent:9',
  imagePullSecrets: [{ name: 'pull' }],
  rollout: { maxSurge: 1, minReadySeconds: 10 },
  access: { mode: 'PreferSameNode' },
  networkPolicy: {
    clientNamespaces: ['web'],
    clientCidrs: ['10.20.0.0/16', '2001:db8::/32'],
    metricsNamespaces: ['prom'],
    redisPorts: [7001],
  },
  tracing: { endpoint: 'http://otel-collector.monitoring.svc:4318', sampleRatio: 0.1 },
  monitoring: { labels: { release: 'prometheus' }, intervalSeconds: 5 },
};

const childrenOf = (spec = {}, settings = {}, metadata = {}) =>
  desiredChildren(contextOf(aTier('edge-us-east', spec, metadata), settings));
const ofKind = (children: readonly KubeObject[], kind: string) =>
  children.find((child) => child.kind === kind);
const daemonSet = (spec = {}, metadata = {}) => ofKind(childrenOf(spec, {}, metadata), 'DaemonSet');
const template = (spec = {}, metadata = {}) => fieldAt(daemonSet(spec, metadata), 'spec', 'template');

describe('what a tier stands for', () => {
  test('is this, for a tier that says only what it must', async () => {
    await expect(`${JSON.stringify(childrenOf(), null, 2)}\n`).toMatchFileSnapshot(
      'testdata/minimal.golden.json',
    );
  });

  test('is this, for a tier that says everything', async () => {
    const children = childrenOf(everything, { hasServiceMonitors: true });
    await expect(`${JSON.stringify(children, null, 2)}\n`).toMatchFileSnapshot(
      'testdata/everything.golden.json',
    );
  });

  test('belongs to the tier, and is in its namespace', () => {
    for (const child of childrenOf(everything, { hasServiceMonitors: true })) {
      expect(child.metadata.namespace).toBe('shop');
      expect(child.metadata.ownerReferences).toEqual([
        expect.objectContaining({ uid: 'uid-of-edge-us-east', controller: true, blockOwnerDeletion: true }),
      ]);
    }
  });

  test('is the same for the same tier, whatever the order of its fields', () => {
    const reversed = Object.fromEntries(Object.entries(everything).reverse());
    expect(childrenOf(reversed)).toEqual(childrenOf(everything));
  });

  test('gives agents a file that they can read, with nothing in it that only the operator reads', () => {
    const text = String(fieldAt(ofKind(childrenOf(everything), 'ConfigMap'), 'data', 'agent.json'));
    const file = agentConfigSchema.parse(JSON.parse(text));
    expect(file.origin).toMatchObject({ tier: 'shop/edge-us-east', generation: 1 });
    for (const word of ['SecretRef', 'SecretName', 'watcher']) expect(text).not.toContain(word);
    expect(file.redis).toMatchObject({ tls: true, caFile: '/etc/edgecache/redis-tls/ca.crt' });
    expect(file).toMatchObject({
      eventLogSeconds: 600,
      encryption: { keyFile: '/etc/edgecache/encryption/keys' },
    });
    expect(file.redis.keyFile).toBe('/etc/edgecache/redis-tls/tls.key');
    expect(text).not.toContain('tolerations');
    const map = ofKind(childrenOf(everything), 'ConfigMap');
    expect(map?.metadata.annotations?.['edgecache.dev/config-hash']).toBe(configHash(text));
  });

  test('has the same pods when only a TTL, a size, a namespace or the staleness changes', () => {
    const hot = { l1: { ttlSeconds: 5, maxEntries: 7 }, namespaces: [{ name: 'a' }], maxStalenessMs: 200 };
    expect(template(hot, { generation: 2 })).toEqual(template());
  });

  test.each([
    ['Redis', { redis: { nodes: ['other:6379'] } }],
    ['the region', { region: 'eu-west' }],
    ['the resources', { resources: { limits: { memory: '512Mi' } } }],
    ['the image', { image: 'agent:2' }],
    ['where traces go', { tracing: { endpoint: 'http://collector:4318' } }],
  ])('has other pods when %s changes', (_what, spec) => {
    expect(template(spec)).not.toEqual(template());
  });

  test('never surges and lacks agents at once, which the API server refuses', () => {
    const strategy = (rollout: object) =>
      fieldAt(daemonSet({ rollout }), 'spec', 'updateStrategy', 'rollingUpdate');
    expect(strategy({ maxSurge: '20%' })).toEqual({ maxSurge: '20%', maxUnavailable: 0 });
    expect(strategy({ maxUnavailable: 3 })).toEqual({ maxSurge: 0, maxUnavailable: 3 });
  });

  test('has no policy where the tier wants none, and lets all in where it says so', () => {
    const policy = (networkPolicy: object) => ofKind(childrenOf({ networkPolicy }), 'NetworkPolicy');
    expect(policy({ policy: 'None' })).toBeUndefined();
    expect(JSON.stringify(policy({ clientNamespaces: ['*'] }))).toContain('"namespaceSelector":{}');
  });

  test.each([
    ['http://collector:4318', 4318],
    ['https://traces.example/otlp', 443],
    ['http://collector', 80],
  ])('lets agents reach the receiver of their traces at %s', (endpoint, port) => {
    const policy = ofKind(childrenOf({ tracing: { endpoint } }), 'NetworkPolicy');
    expect(fieldAt(policy, 'spec', 'egress')).toContainEqual({ ports: [{ protocol: 'TCP', port }] });
  });

  test('lets ranges of addresses ask, and nothing but ask', () => {
    const policy = ofKind(
      childrenOf({ networkPolicy: { clientCidrs: ['10.0.0.0/8', '10.0.0.0/8'] } }),
      'NetworkPolicy',
    );
    const rules = fieldAt(policy, 'spec', 'ingress');
    const withRange = Array.isArray(rules)
      ? rules.filter((rule) => JSON.stringify(rule).includes('10.0.0.0/8'))
      : [];
    expect(withRange).toEqual([
      expect.objectContaining({
        from: expect.arrayContaining([{ ipBlock: { cidr: '10.0.0.0/8' } }]),
        ports: [{ protocol: 'TCP', port: 7480 }],
      }),
    ]);
  });

  const tls = (fields: object, settings = {}) =>
    desiredChildren({
      ...contextOf(aTier('edge-us-east', { security: { tls: { enabled: true, ...fields } } }), settings),
      ...(Object.keys(fields).length === 0 ? { trust: 'the authorities' } : {}),
    });

  test('with TLS, has the certificate in the pods, probes that the kubelet can do, and a file that agents take', () => {
    const children = tls({});
    const pods = JSON.stringify(fieldAt(ofKind(children, 'DaemonSet'), 'spec', 'template', 'spec'));
    expect(pods).toContain('"mountPath":"/etc/edgecache/tls"');
    expect(pods).toContain('"secretName":"edgecache-edge-us-east-serving","defaultMode":288');
    expect(pods).not.toContain('"grpc":{"port"');
    const files = children.filter((child) => child.kind === 'ConfigMap');
    expect(fieldAt(files[1], 'data')).toEqual({ 'ca.crt': 'the authorities' });
    const file = agentConfigSchema.parse(JSON.parse(String(fieldAt(files[0], 'data', 'agent.json'))));
    expect(file.security.tls).toMatchObject({ enabled: true, keyFile: '/etc/edgecache/tls/tls.key' });
    // A new certificate is no reason for new pods: agents read the files again.
    const other = desiredChildren({
      ...contextOf(aTier('edge-us-east', { security: { tls: { enabled: true } } })),
      trust: 'x',
    });
    expect(ofKind(other, 'DaemonSet')).toEqual(ofKind(children, 'DaemonSet'));
  });

  test('with a Secret of the user’s, or an issuer’s, tells agents whose clients’ certificates to take', () => {
    const given = tls({ secretName: 'shop-tls', clientCert: 'require' });
    expect(JSON.stringify(ofKind(given, 'ConfigMap'))).toContain('/etc/edgecache/tls/ca.crt');
    expect(JSON.stringify(ofKind(given, 'DaemonSet'))).toContain('"secretName":"shop-tls"');
    const issued = tls({ issuerRef: { name: 'ca' } }, { hasCertificates: true });
    expect(fieldAt(ofKind(issued, 'Certificate'), 'spec')).toMatchObject({
      secretName: 'edgecache-edge-us-east-tls',
      issuerRef: { name: 'ca', kind: 'Issuer', group: 'cert-manager.io' },
    });
    expect(JSON.stringify(ofKind(issued, 'DaemonSet'))).toContain(
      '"secretName":"edgecache-edge-us-east-tls"',
    );
  });

  const guarded = (accessRules: object[] = [], auth = {}) => ({
    security: {
      auth: {
        required: true,
        tokenSecretName: 'shop-tokens',
        serviceAccounts: true,
        audience: 'edgecache',
        ...auth,
      },
      accessRules,
      limits: { requestsPerSecond: 1000 },
      accessLog: {},
    },
  });
  const rule = { identities: ['serviceaccount:shop/*'], namespaces: ['*'], allow: ['read'] };

  test('with callers that must say who they are, has their tokens, and what it takes to look at others', () => {
    const children = childrenOf(guarded([rule]));
    const pods = fieldAt(ofKind(children, 'DaemonSet'), 'spec', 'template', 'spec');
    expect(fieldAt(pods, 'automountServiceAccountToken')).toBe(true);
    expect(JSON.stringify(pods)).toContain('"mountPath":"/etc/edgecache/auth"');
    const file = JSON.parse(String(fieldAt(ofKind(children, 'ConfigMap'), 'data', 'agent.json')));
    expect(agentConfigSchema.parse(file).security).toMatchObject({
      auth: { required: true, tokenFile: '/etc/edgecache/auth/tokens', audience: 'edgecache' },
      accessRules: [rule],
      limits: { requestsPerSecond: 1000, maxConnections: 1024 },
      accessLog: { sampleRate: 0.01 },
    });
    const ports = JSON.stringify(fieldAt(ofKind(children, 'NetworkPolicy'), 'spec', 'egress'));
    expect(ports).toContain('{"protocol":"TCP","port":443},{"protocol":"TCP","port":6443}');
    expect(JSON.stringify(childrenOf())).not.toContain('6443');
    expect(fieldAt(template(), 'spec', 'automountServiceAccountToken')).toBe(false);
  });

  test('has the same pods when only access rules change', () => {
    const without = fieldAt(template(guarded()), 'metadata');
    expect(fieldAt(template(guarded([rule])), 'metadata')).toEqual(without);
    expect(fieldAt(template(guarded([rule], { audience: 'other' })), 'metadata')).not.toEqual(without);
  });
});
