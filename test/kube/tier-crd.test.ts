import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { parseTier } from '../../api/tier.ts';
import { tierStatusSchema } from '../../api/tier-status.ts';
import { messageOf } from '../../operator/errors.ts';
import { applyStatus } from '../../operator/kube/apply.ts';
import type { KubeClient } from '../../operator/kube/client.ts';
import { fieldAt, type KubeObject } from '../../operator/kube/object.ts';
import { pathOf, TIERS } from '../../operator/kube/resources.ts';
import { BAD, good, redis, type Spec } from '../support/bad-tiers.ts';
import { findKubeBinaries, NO_BINARIES, TestApiServer } from './api-server.ts';
import { installCrd } from './crd.ts';

const binaries = findKubeBinaries();
if (binaries === undefined) console.warn(`skipped: ${NO_BINARIES}`);

function tierOf(spec: Spec, name = 'a-tier'): KubeObject {
  return { apiVersion: TIERS.apiVersion, kind: TIERS.kind, metadata: { name, namespace: 'default' }, spec };
}

describe.skipIf(binaries === undefined)('the CRD on a real API server', () => {
  let server: TestApiServer;
  let client: KubeClient;

  beforeAll(async () => {
    if (binaries === undefined) return;
    server = await TestApiServer.start(binaries);
    client = server.client();
    await installCrd(client);
  }, 90_000);
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  /** As kubectl does it: unknown fields are refused, and nothing is stored. */
  const dryRun = async (object: KubeObject): Promise<unknown> =>
    await client.json({
      method: 'POST',
      path: pathOf(TIERS, { namespace: 'default' }),
      query: { dryRun: 'All', fieldValidation: 'Strict' },
      body: object,
    });

  test.each(BAD)('refuses %s, and says why', async (_what, spec, message) => {
    const error = await dryRun(tierOf(spec)).then(
      () => new Error('accepted'),
      (refusal: unknown) => refusal,
    );
    expect(messageOf(error)).toContain(message);
    expect(() => parseTier(tierOf(spec))).toThrow();
  });

  test('refuses a misspelt field by its name', async () => {
    await expect(dryRun(tierOf(good({ regoin: 'x' })))).rejects.toThrow('unknown field "spec.regoin"');
    expect(() => parseTier(tierOf(good({ regoin: 'x' })))).toThrow('spec.regoin');
  });

  test('refuses a password in the manifest', async () => {
    await expect(dryRun(tierOf(redis({ password: 'secret' })))).rejects.toThrow(
      'unknown field "spec.redis.password"',
    );
  });

  test.each([
    ['x'.repeat(41), 'metadata.name must be at most 40 characters'],
    ['a.b', 'metadata.name must be lower case letters, digits and "-"'],
  ])('refuses the name %s', async (name, message) => {
    await expect(dryRun(tierOf(good(), name))).rejects.toThrow(message);
    expect(() => parseTier(tierOf(good(), name))).toThrow();
  });

  test('takes the examples, fills in what they leave out, and zod reads the result', async () => {
    const folder = new URL('../../examples/', import.meta.url);
    const files = readdirSync(folder).filter((name) => name.startsWith('tier-'));
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) {
      const manifest = parse(readFileSync(new URL(file, folder), 'utf8')) as KubeObject;
      const stored = await dryRun(manifest);
      expect(fieldAt(stored, 'spec', 'rollout', 'minReadySeconds')).toBe(5);
      expect(parseTier(stored).spec).toEqual(parseTier(manifest).spec);
    }
  });

  test('takes a tier that uses every field', async () => {
    const spec = good({
      datacenter: 'dc-1',
      cacheId: 'marketplace',
      partitions: 32,
      maxStalenessMs: 500,
      l1: { maxEntries: 100, maxBytes: '32Mi', ttlSeconds: 10, policy: 'tinylfu' },
      namespaces: [
        { name: 'a', ttlSeconds: 10, l1TtlSeconds: 5, eventDriven: true, critical: true, memoryLimit: '10M' },
        { name: 'historical' },
      ],
      redis: {
        mode: 'sentinel',
        nodes: ['[::1]:26379', 's-1.sentinel:26379'],
        sentinelMaster: 'main',
        username: 'agent',
        passwordSecretRef: { name: 'redis-auth' },
      },
      nodeSelector: { 'topology.kubernetes.io/region': 'us-east', tier: '' },
      tolerations: [
        { operator: 'Exists' },
        { key: 'edge', operator: 'Equal', value: 'true', effect: 'NoExecute' },
      ],
      resources: { requests: { cpu: '0.5' }, limits: { cpu: '2', memory: '1Gi' } },
      priorityClassName: 'system-node-critical',
      image: 'ghcr.io/acme/agent:1@sha256:0123',
      imagePullSecrets: [{ name: 'pull' }],
      rollout: { maxSurge: '25%' },
      access: { mode: 'PreferSameNode' },
      security: {
        tls: { enabled: true, secretName: 'shop-tls', clientCert: 'optional' },
        auth: { required: true, tokenSecretName: 'tokens', serviceAccounts: true, audience: 'edgecache' },
        accessRules: [
          {
            identities: ['serviceaccount:shop/*', 'cert:web'],
            namespaces: ['gpu_*'],
            allow: ['read', 'write'],
          },
        ],
      },
      networkPolicy: {
        clientNamespaces: ['*'],
        clientCidrs: ['10.0.0.0/8', '::/0'],
        metricsNamespaces: [],
        redisPorts: [7000],
      },
      monitoring: { serviceMonitor: 'Never', labels: { release: 'prometheus' } },
    });
    expect(parseTier(await dryRun(tierOf(spec))).spec).toEqual(parseTier(tierOf(spec)).spec);
  });

  test('keeps cacheId and partitions as they were made', async () => {
    const made = await client.create(TIERS, tierOf(good({ cacheId: 'one' }), 'immutable'));
    const changed = (changes: Spec) => ({ ...made, spec: { ...(made['spec'] as Spec), ...changes } });
    await expect(client.replace(TIERS, changed({ cacheId: 'two' }))).rejects.toThrow('cacheId is immutable');
    await expect(client.replace(TIERS, changed({ partitions: 8 }))).rejects.toThrow(
      'partitions is immutable',
    );
    await client.replace(TIERS, changed({ region: 'eu-west' }));
  });

  test('has a status of its own, with conditions merged by type', async () => {
    const made = await client.create(TIERS, tierOf(good(), 'with-status'));
    const condition = {
      type: 'Ready',
      status: 'True',
      reason: 'AgentsReady',
      message: 'All 3 agents are ready.',
      observedGeneration: 1,
      lastTransitionTime: new Date().toISOString(),
    };
    await applyStatus(client, TIERS, made, { conditions: [condition], desiredAgents: 3, hitPercent: 97 });
    const read = await client.get(TIERS, { namespace: 'default', name: 'with-status' });
    expect(tierStatusSchema.parse(read['status'])).toEqual({
      conditions: [condition],
      desiredAgents: 3,
      hitPercent: 97,
    });
    expect(read.metadata.generation).toBe(1);
    await expect(
      applyStatus(client, TIERS, made, { conditions: [{ ...condition, status: 'Maybe' }] }),
    ).rejects.toThrow('supported values: "True", "False", "Unknown"');
  });
});
