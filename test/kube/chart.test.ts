import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { type AlertGroup, withThresholds } from '../../hack/monitoring/alert.ts';
import { ALERT_GROUPS, defaultThresholds } from '../../hack/monitoring/alerts.ts';
import { grafanaJson } from '../../hack/monitoring/dashboard.ts';
import { DASHBOARDS } from '../../hack/monitoring/dashboards.ts';
import { isNotFound, messageOf } from '../../operator/errors.ts';
import type { KubeClient } from '../../operator/kube/client.ts';
import { fieldAt, type KubeObject } from '../../operator/kube/object.ts';
import { pathOf, type Resource, SECRETS, SERVICES, TIERS } from '../../operator/kube/resources.ts';
import { findKubeBinaries, NO_BINARIES, TestApiServer } from './api-server.ts';
import { CHART, findHelm, helm, installChart } from './helm.ts';

const binaries = findKubeBinaries();
const missing = [
  binaries === undefined ? NO_BINARIES : undefined,
  findHelm() === undefined ? 'no helm' : undefined,
];
const reasons = missing.filter((reason) => reason !== undefined);
if (reasons.length > 0) console.warn(`skipped: ${reasons.join('; ')}`);

const ROOT = new URL('../../', import.meta.url);
const NAMESPACE = 'edgecache-system';
const ALL = [
  'redis.enabled=true',
  'networkPolicy.enabled=true',
  'operator.priorityClassName=system-cluster-critical',
  'test.tier=edge-us-east',
].flatMap((value) => ['--set', value]);
const VERSION = ['--kube-version', '1.36.3'];

async function rendered(...args: readonly string[]): Promise<KubeObject[]> {
  const text = await helm('template', 'edgecache', CHART, '--namespace', NAMESPACE, ...VERSION, ...args);
  return parseAllDocuments(text).flatMap((document) => (document.toJS() as KubeObject | null) ?? []);
}

describe.skipIf(findHelm() === undefined)('the chart', () => {
  test('is without fault to helm lint', async () => {
    expect(await helm('lint', '--strict', CHART, ...ALL)).toContain('0 chart(s) failed');
  });

  test.each([
    ['a misspelt value', 'operator.replcas=1', "'replcas' not allowed"],
    ['a text for a number', 'operator.replicas=two', 'got string, want integer'],
    ['an unknown log level', 'operator.logLevel=loud', "value must be one of 'fatal'"],
  ])('refuses %s', async (_what, value, message) => {
    const error = await rendered('--set', value).catch((refusal: unknown) => refusal);
    expect(messageOf(error)).toContain(message);
  });

  test('says what example tiers need', async () => {
    const enabled = ['--set', 'exampleTiers.enabled=true'];
    await expect(rendered(...enabled)).rejects.toThrow('exampleTiers.enabled needs the CRD in the cluster');
    const api = ['--api-versions', 'edgecache.dev/v1alpha1'];
    await expect(rendered(...enabled, ...api)).rejects.toThrow(
      'must have spec.redis, or redis.enabled must be true',
    );
  });

  test('gives the operator no right but those listed, and none by wildcard', async () => {
    const roles = (await rendered()).filter(
      (object) => object.kind === 'ClusterRole' || object.kind === 'Role',
    );
    const rules = roles
      .filter((role) => !/-(viewer|editor)$/.test(role.metadata.name))
      .flatMap((role) => role['rules'] as Record<string, string[]>[]);
    for (const rule of rules) expect(JSON.stringify(rule)).not.toContain('"*"');
    const secrets = rules.filter((rule) => rule['resources']?.includes('secrets'));
    expect(secrets).toEqual([
      // Narrowed to the operator's own by a policy: see certificates.test.ts.
      { apiGroups: [''], resources: ['secrets'], verbs: ['create', 'patch'] },
      {
        apiGroups: [''],
        resources: ['secrets'],
        resourceNames: ['edgecache-operator-reload-key', 'edgecache-operator-authorities'],
        verbs: ['get', 'update'],
      },
    ]);
    const without = await rendered('--set', 'certificates.enabled=false');
    const text = JSON.stringify(without);
    expect(text).not.toContain('"resources":["secrets"],"verbs":["create","patch"]');
    expect(text).not.toContain('authorities"]');
    expect(text).not.toContain('ValidatingAdmissionPolicy');
    const watched = ['--set', 'operator.watchNamespace=shop'];
    const cluster = (await rendered(...watched)).find(
      (object) => object.kind === 'ClusterRole' && object.metadata.name === `${NAMESPACE}-edgecache-operator`,
    );
    const reviews = {
      apiGroups: ['rbac.authorization.k8s.io'],
      resourceNames: [`${NAMESPACE}-edgecache-operator-token-reviews`],
    };
    expect(cluster?.['rules']).toEqual([
      { apiGroups: [''], resources: ['nodes'], verbs: ['list', 'watch'] },
      { ...reviews, resources: ['clusterrolebindings'], verbs: ['patch'] },
      { ...reviews, resources: ['clusterroles'], verbs: ['bind'] },
    ]);
  });

  test('has the alerts of their source, with thresholds of one’s own, and without those that are not wanted', async () => {
    const groups = async (...values: readonly string[]) => {
      const args = ['prometheusRule.enabled=true', ...values].flatMap((value) => ['--set', value]);
      const rule = (await rendered(...args)).find(({ kind }) => kind === 'PrometheusRule');
      return fieldAt(rule, 'spec', 'groups') as AlertGroup[];
    };
    const url = 'https://runbook.example';
    const linked = withThresholds(ALERT_GROUPS, defaultThresholds(ROOT)).map(({ name, rules }) => ({
      name,
      rules: rules.map((rule) => {
        const runbookUrl = `${url}#${rule.alert.toLowerCase()}`;
        return { ...rule, annotations: { ...rule.annotations, runbook_url: runbookUrl } };
      }),
    }));
    expect(await groups(`prometheusRule.runbookUrl=${url}`)).toEqual(linked);
    const own = await groups(
      'prometheusRule.thresholds.eventQueue.warning=77',
      'prometheusRule.disabled={EdgeCacheHitRatioLow}',
    );
    const rules = own.flatMap((group) => group.rules);
    expect(rules.find(({ alert }) => alert === 'EdgeCacheEventQueueLong')?.expr).toMatch(/ > 77$/);
    expect(rules.some(({ alert }) => alert === 'EdgeCacheHitRatioLow')).toBe(false);
    expect(JSON.stringify(own)).not.toMatch(/<\w+\.\w+>/);
  });

  test('has the dashboards of their source, where Grafana’s sidecar finds them', async () => {
    const args = ['dashboards.enabled=true', 'dashboards.annotations.grafana_folder=Cache'];
    const maps = (await rendered(...args.flatMap((value) => ['--set', value]))).filter(
      ({ kind, metadata }) => kind === 'ConfigMap' && metadata.labels?.['grafana_dashboard'] === '1',
    );
    const found = maps.map((map) => {
      expect(map.metadata.annotations).toEqual({ grafana_folder: 'Cache' });
      const [[file, text] = ['', '']] = Object.entries(fieldAt(map, 'data') as Record<string, string>);
      return [file, JSON.parse(text) as unknown] as const;
    });
    const made = DASHBOARDS.map((one) => [`edgecache-${one.name}.json`, grafanaJson(one)] as const);
    expect(new Map(found)).toEqual(new Map(made));
  });

  test('has a budget only where it would not block a drain', async () => {
    const kinds = async (replicas: number) =>
      (await rendered('--set', `operator.replicas=${replicas}`)).map((object) => object.kind);
    expect(await kinds(2)).toContain('PodDisruptionBudget');
    expect(await kinds(1)).not.toContain('PodDisruptionBudget');
  });
});

describe.skipIf(reasons.length > 0)('the chart on a real API server', () => {
  let server: TestApiServer;
  let client: KubeClient;
  let kubeConfig: string;

  beforeAll(async () => {
    if (binaries === undefined) return;
    server = await TestApiServer.start(binaries);
    client = server.client();
    kubeConfig = server.writeKubeConfig();
    const labels = {
      'pod-security.kubernetes.io/enforce': 'restricted',
      'pod-security.kubernetes.io/warn': 'restricted',
    };
    await client.create(resourceOf('v1', 'Namespace', 'namespaces', false), {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: NAMESPACE, labels },
    });
  }, 90_000);
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  const resourceOf = (apiVersion: string, kind: string, plural: string, namespaced = true): Resource => ({
    apiVersion,
    kind,
    plural,
    namespaced,
  });

  test('is installed, and its pods keep to the restricted Pod Security', async () => {
    expect(await installChart(kubeConfig, NAMESPACE, ...ALL)).toContain('STATUS: deployed');
    // No controllers run here: make the pods as a Deployment would.
    const manifests = await rendered(...ALL);
    const pods = manifests.flatMap((object) =>
      object.kind === 'Deployment' ? [podOf(object)] : object.kind === 'Pod' ? [object] : [],
    );
    expect(pods).toHaveLength(3);
    for (const pod of pods) {
      const path = pathOf(resourceOf('v1', 'Pod', 'pods'), { namespace: NAMESPACE });
      await client.json({
        method: 'POST',
        path,
        body: pod,
        query: { dryRun: 'All', fieldValidation: 'Strict' },
      });
    }
  }, 60_000);

  test('is upgraded without losing tiers, or the key that agents know', async () => {
    const tier = {
      apiVersion: TIERS.apiVersion,
      kind: TIERS.kind,
      metadata: { name: 'kept', namespace: 'default' },
      spec: { region: 'us-east', tier: 'edge', redis: { nodes: ['redis:6379'] } },
    };
    const made = await client.create(TIERS, tier);
    const place = { namespace: NAMESPACE, name: 'edgecache-operator-reload-key' };
    await client.replace(SECRETS, {
      ...(await client.get(SECRETS, place)),
      data: { 'reload-key.pem': 'a2V5' },
    });
    await installChart(
      kubeConfig,
      NAMESPACE,
      ...ALL,
      '--set',
      'exampleTiers.enabled=true',
      '--set',
      'operator.workers=8',
    );
    expect((await client.get(TIERS, { namespace: 'default', name: 'kept' })).metadata.uid).toBe(
      made.metadata.uid,
    );
    expect(fieldAt(await client.get(SECRETS, place), 'data')).toEqual({ 'reload-key.pem': 'a2V5' });
    const example = await client.get(TIERS, { namespace: NAMESPACE, name: 'edge-us-east' });
    expect(fieldAt(example, 'spec', 'redis', 'nodes')).toEqual([`edgecache-redis.${NAMESPACE}:6379`]);
  }, 60_000);

  test('leaves nothing but the CRD and the tiers that people made when it is uninstalled', async () => {
    await helm('uninstall', 'edgecache', '--kubeconfig', kubeConfig, '--namespace', NAMESPACE);
    await client.get(TIERS, { namespace: 'default', name: 'kept' });
    await expect(client.get(TIERS, { namespace: NAMESPACE, name: 'edge-us-east' })).rejects.toSatisfy(
      isNotFound,
    );
    const gone: [Resource, string][] = [
      [SECRETS, 'edgecache-operator-reload-key'],
      [SERVICES, 'edgecache-redis'],
      [resourceOf('apps/v1', 'Deployment', 'deployments'), 'edgecache-operator'],
      [resourceOf('coordination.k8s.io/v1', 'Lease', 'leases'), 'edgecache-operator'],
    ];
    for (const [resource, name] of gone)
      await expect(client.get(resource, { namespace: NAMESPACE, name })).rejects.toSatisfy(isNotFound);
  }, 60_000);
});

function podOf(deployment: KubeObject): object {
  const template = fieldAt(deployment, 'spec', 'template') as { metadata: object; spec: object };
  const metadata = { ...template.metadata, name: deployment.metadata.name };
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec: template.spec };
}
