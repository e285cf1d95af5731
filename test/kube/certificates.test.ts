import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { conditionsOf } from '../../operator/controller/status.ts';
import { KubeError } from '../../operator/errors.ts';
import { mergePatch } from '../../operator/kube/apply.ts';
import type { KubeClient } from '../../operator/kube/client.ts';
import { fieldAt, type KubeObject } from '../../operator/kube/object.ts';
import {
  CERTIFICATES,
  CONFIG_MAPS,
  DAEMON_SETS,
  EVENTS,
  pathOf,
  type Resource,
  SECRETS,
  TIERS,
} from '../../operator/kube/resources.ts';
import { RENEW_ANNOTATION } from '../../operator/manifests/names.ts';
import { eventually } from '../../operator/testing/eventually.ts';
import { FakeAgent } from '../../operator/testing/fake-agent.ts';
import { findKubeBinaries, NO_BINARIES, TestApiServer } from './api-server.ts';
import { findHelm, installChart } from './helm.ts';
import { OPERATOR, OPERATOR_NAMESPACE, OPERATOR_USER, RunningOperator } from './running-operator.ts';

const binaries = findKubeBinaries();
const missing = [
  binaries === undefined ? NO_BINARIES : undefined,
  findHelm() === undefined ? 'no helm' : undefined,
];
const reasons = missing.filter((reason) => reason !== undefined);
if (reasons.length > 0) console.warn(`skipped: ${reasons.join('; ')}`);

vi.setConfig({ testTimeout: 90_000 });
const CRDS: Resource = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  namespaced: false,
};

describe.skipIf(reasons.length > 0)(
  'certificates of tiers, on a real API server with the rights of the chart',
  () => {
    let server: TestApiServer;
    let client: KubeClient;
    let asOperator: KubeClient;
    let agent: FakeAgent;
    let operator: RunningOperator;

    beforeAll(async () => {
      if (binaries === undefined) return;
      server = await TestApiServer.start(binaries, { users: [OPERATOR_USER] });
      client = server.client();
      asOperator = server.client(OPERATOR);
      await installChart(server.writeKubeConfig(), OPERATOR_NAMESPACE);
      agent = await new FakeAgent().listen('127.0.0.1');
      operator = new RunningOperator(server, agent, 'operator-a');
      await eventually(
        'a leader',
        async () => (await operator.metric('edgecache_operator_leader')) === 1,
        30_000,
      );
    }, 120_000);

    afterAll(async () => {
      await operator?.stop();
      await agent?.[Symbol.asyncDispose]();
      await server?.[Symbol.asyncDispose]();
    });

    const makeTier = (name: string, tls: Record<string, unknown>) =>
      client.create(TIERS, {
        apiVersion: TIERS.apiVersion,
        kind: TIERS.kind,
        metadata: { name, namespace: 'default' },
        spec: {
          region: 'us-east',
          tier: 'edge',
          redis: { nodes: ['redis:6379'] },
          security: { tls: { enabled: true, ...tls } },
        },
      });
    const child = (resource: Resource, name: string) => client.get(resource, { namespace: 'default', name });
    const made = (resource: Resource, name: string) =>
      eventually(`${resource.kind} ${name}`, () => child(resource, name), 30_000);
    const textOf = (object: KubeObject, field: string) =>
      Buffer.from(String(fieldAt(object, 'data', field)), 'base64').toString();
    const refusal = (name: string, reason: string) =>
      eventually(`${name} to say ${reason}`, async () =>
        conditionsOf(await client.get(TIERS, { namespace: 'default', name })).find(
          (condition) => condition.type === 'ConfigAccepted' && condition.reason === reason,
        ),
      );
    const secretNamed = (name: string, changes: Record<string, unknown> = {}): KubeObject => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {
        name,
        namespace: 'default',
        labels: { 'app.kubernetes.io/managed-by': 'edgecache-operator' },
      },
      type: 'kubernetes.io/tls',
      data: { 'tls.crt': '', 'tls.key': '' },
      ...changes,
    });
    const refused = (work: Promise<unknown>) =>
      expect(work).rejects.toSatisfy((error) => error instanceof KubeError && error.status === 403);

    test('the operator makes one, of an authority that it tells', async () => {
      await makeTier('own', {});
      const secret = await made(SECRETS, 'edgecache-own-serving');
      const trust = await made(CONFIG_MAPS, 'edgecache-own-ca');
      expect(secret['type']).toBe('kubernetes.io/tls');
      const certificate = new X509Certificate(textOf(secret, 'tls.crt'));
      const authority = new X509Certificate(String(fieldAt(trust, 'data', 'ca.crt')));
      expect(certificate.verify(authority.publicKey)).toBe(true);
      for (const host of [
        'edgecache-own',
        'edgecache-own.default',
        'edgecache-own.default.svc.cluster.local',
      ])
        expect(certificate.checkHost(host)).toBe(host);
      for (const object of [secret, trust])
        expect(object.metadata.ownerReferences).toEqual([expect.objectContaining({ name: 'own' })]);
      const pods = JSON.stringify(
        fieldAt(await made(DAEMON_SETS, 'edgecache-own'), 'spec', 'template', 'spec'),
      );
      expect(pods).toContain('"secretName":"edgecache-own-serving"');
      expect(pods).toContain('"path":"/readyz"');
      const file = fieldAt(await child(CONFIG_MAPS, 'edgecache-own'), 'data', 'agent.json');
      expect(JSON.parse(String(file))).toMatchObject({
        security: { tls: { enabled: true, certFile: '/etc/edgecache/tls/tls.crt', clientCert: 'none' } },
      });
      expect(
        await operator.metric('edgecache_operator_certificate_end_timestamp_seconds{tier="default/own"}'),
      ).toBe(certificate.validToDate.getTime() / 1000);
    });

    test('keeps the key of the authority to its own namespace', async () => {
      const place = { namespace: OPERATOR_NAMESPACE, name: 'edgecache-operator-authorities' };
      const names = Object.keys(fieldAt(await client.get(SECRETS, place), 'data') ?? {});
      expect(names).toEqual([expect.stringMatching(/^\d{8}T\d{6}Z\.crt$/), expect.stringMatching(/\.key$/)]);
      expect(JSON.stringify(fieldAt(await child(CONFIG_MAPS, 'edgecache-own-ca'), 'data'))).not.toContain(
        'PRIVATE',
      );
    });

    test('makes another when it is asked, of the same authority, and tells it as an event', async () => {
      const before = await child(SECRETS, 'edgecache-own-serving');
      const trust = await child(CONFIG_MAPS, 'edgecache-own-ca');
      const annotations = { [RENEW_ANNOTATION]: '1' };
      await mergePatch(
        client,
        TIERS,
        { metadata: { name: 'own', namespace: 'default' } },
        { metadata: { annotations } },
      );
      const after = await eventually('another', async () => {
        const secret = await child(SECRETS, 'edgecache-own-serving');
        return textOf(secret, 'tls.crt') !== textOf(before, 'tls.crt') && secret;
      });
      const authority = new X509Certificate(String(fieldAt(trust, 'data', 'ca.crt')));
      expect(new X509Certificate(textOf(after, 'tls.crt')).verify(authority.publicKey)).toBe(true);
      await eventually('an event', async () =>
        JSON.stringify(await client.json({ path: pathOf(EVENTS, { namespace: 'default' }) })).includes(
          'asks for it',
        ),
      );
    });

    test('another replica goes on with what there is', async () => {
      const before = textOf(await child(SECRETS, 'edgecache-own-serving'), 'tls.crt');
      await operator.stop();
      operator = new RunningOperator(server, agent, 'operator-b');
      await eventually(
        'it to have looked',
        async () => (await operator.metric('edgecache_operator_certificate_end_timestamp_seconds{')) > 0,
        30_000,
      );
      expect(textOf(await child(SECRETS, 'edgecache-own-serving'), 'tls.crt')).toBe(before);
    });

    test('may not read, make or change any Secret but those', async () => {
      const place = { namespace: 'default', name: 'theirs' };
      await client.create(
        SECRETS,
        secretNamed('theirs', { metadata: { ...place }, data: { 'tls.crt': '', 'tls.key': '' } }),
      );
      await refused(asOperator.get(SECRETS, place));
      await refused(asOperator.json({ path: pathOf(SECRETS, { namespace: 'default' }) }));
      // A patch that changes nothing would answer with the whole Secret.
      const empty = { method: 'PATCH', body: {}, contentType: 'application/merge-patch+json' } as const;
      await refused(asOperator.json({ ...empty, path: pathOf(SECRETS, place) }));
      await refused(asOperator.create(SECRETS, secretNamed('anything')));
      const token = {
        type: 'kubernetes.io/service-account-token',
        metadata: {
          ...secretNamed('edgecache-x-serving').metadata,
          annotations: { 'kubernetes.io/service-account.name': 'default' },
        },
        data: {},
      };
      await refused(asOperator.create(SECRETS, secretNamed('edgecache-x-serving', token)));
    });

    test('takes over no Secret of somebody else, and says so', async () => {
      const theirs = secretNamed('edgecache-taken-serving', {
        metadata: { name: 'edgecache-taken-serving', namespace: 'default' },
      });
      const before = await client.create(SECRETS, theirs);
      await makeTier('taken', {});
      expect((await refusal('taken', 'CertificateRefused'))?.message).toContain(
        "write Secret 'edgecache-taken-serving'",
      );
      expect(await child(SECRETS, 'edgecache-taken-serving')).toEqual(before);
    });

    test('uses a Secret of the user’s as it is, and makes none', async () => {
      await makeTier('given', { secretName: 'shop-tls', clientCert: 'require' });
      const pods = JSON.stringify(await made(DAEMON_SETS, 'edgecache-given'));
      expect(pods).toContain('"secretName":"shop-tls"');
      await expect(child(SECRETS, 'edgecache-given-serving')).rejects.toThrow('404');
      await expect(child(CONFIG_MAPS, 'edgecache-given-ca')).rejects.toThrow('404');
    });

    test('asks cert-manager where the tier names an issuer, and says where there is none to ask', async () => {
      await makeTier('issued', { issuerRef: { name: 'shop-ca', kind: 'ClusterIssuer' } });
      expect((await refusal('issued', 'IssuerMissing'))?.message).toContain('needs cert-manager');
      await client.create(CRDS, certificateCrd());
      const certificate = await made(CERTIFICATES, 'edgecache-issued');
      expect(certificate['spec']).toMatchObject({
        secretName: 'edgecache-issued-tls',
        issuerRef: { name: 'shop-ca', kind: 'ClusterIssuer', group: 'cert-manager.io' },
        dnsNames: expect.arrayContaining(['edgecache-issued.default.svc']),
      });
      expect(JSON.stringify(await made(DAEMON_SETS, 'edgecache-issued'))).toContain(
        '"secretName":"edgecache-issued-tls"',
      );
    });
  },
);

/** As much of cert-manager's kind as the operator needs. */
function certificateCrd(): KubeObject {
  const { apiVersion, kind, plural } = CERTIFICATES;
  const [group = '', name = ''] = apiVersion.split('/');
  const openAPIV3Schema = {
    type: 'object',
    properties: { spec: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
  };
  return {
    apiVersion: CRDS.apiVersion,
    kind: CRDS.kind,
    metadata: {
      name: `${plural}.${group}`,
      annotations: { 'api-approved.kubernetes.io': 'unapproved, a stand-in for tests' },
    },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, plural, singular: 'certificate', listKind: `${kind}List` },
      versions: [{ name, served: true, storage: true, schema: { openAPIV3Schema } }],
    },
  };
}
