import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { readOperatorConfig } from '../../operator/config/operator-config.ts';
import { messageOf } from '../../operator/errors.ts';
import { apply } from '../../operator/kube/apply.ts';
import type { KubeClient } from '../../operator/kube/client.ts';
import { fieldAt, type KubeObject } from '../../operator/kube/object.ts';
import {
  CONFIG_MAPS,
  pathOf,
  type Resource,
  SERVICE_MONITORS,
  TIERS,
} from '../../operator/kube/resources.ts';
import { runOperator } from '../../operator/operator.ts';
import { eventually } from '../../operator/testing/eventually.ts';
import { findKubeBinaries, NO_BINARIES, TestApiServer } from './api-server.ts';
import { CRDS } from './crd.ts';
import { CHART, findHelm, helm, installChart } from './helm.ts';

const binaries = findKubeBinaries();
const missing = [
  binaries === undefined ? NO_BINARIES : undefined,
  findHelm() === undefined ? 'no helm' : undefined,
].filter((reason) => reason !== undefined);
if (missing.length > 0) console.warn(`skipped: ${missing.join('; ')}`);

const NAMESPACE = 'edgecache-system';
const OPERATOR = `system:serviceaccount:${NAMESPACE}:edgecache-operator`;
const PROMETHEUS_RULES: Resource = {
  apiVersion: SERVICE_MONITORS.apiVersion,
  kind: 'PrometheusRule',
  plural: 'prometheusrules',
  namespaced: true,
};
const VALUES = [
  'serviceMonitor.enabled=true',
  'prometheusRule.enabled=true',
  'prometheusRule.labels.release=prometheus',
  'dashboards.enabled=true',
].flatMap((value) => ['--set', value]);

/** The Prometheus operator's own kinds, as it publishes them. */
async function installMonitoringCrds(client: KubeClient): Promise<void> {
  for (const { plural } of [SERVICE_MONITORS, PROMETHEUS_RULES]) {
    const file = new URL(`testdata/monitoring.coreos.com_${plural}.yaml`, import.meta.url);
    await apply(client, CRDS, parse(readFileSync(file, 'utf8')) as KubeObject);
    await eventually(`${plural} to be served`, async () => {
      await client.json({ path: `/apis/${SERVICE_MONITORS.apiVersion}/${plural}` });
      return true;
    });
  }
}

describe.skipIf(missing.length > 0)('beside the Prometheus operator', () => {
  let server: TestApiServer;
  let client: KubeClient;
  const stop = new AbortController();
  let ended: Promise<unknown> = Promise.resolve();

  beforeAll(async () => {
    if (binaries === undefined) return;
    const users = [{ name: OPERATOR, groups: ['system:serviceaccounts', 'system:authenticated'] }];
    server = await TestApiServer.start(binaries, { users });
    client = server.client();
    await installMonitoringCrds(client);
    await installChart(server.writeKubeConfig(), NAMESPACE, ...VALUES);
  }, 90_000);
  afterAll(async () => {
    stop.abort();
    await ended;
    await server?.[Symbol.asyncDispose]();
  });

  /** Refuses a field that the schema does not have; keeps nothing. */
  const strictly = async (resource: Resource, object: KubeObject) => {
    const { name, namespace = NAMESPACE } = object.metadata;
    const body = { ...object, metadata: { ...object.metadata, name: `${name}-again` } };
    const query = { dryRun: 'All', fieldValidation: 'Strict' };
    await client.json({ method: 'POST', path: pathOf(resource, { namespace }), body, query });
  };

  test('the chart’s ServiceMonitor and PrometheusRule are of the real schema, and its dashboards are there', async () => {
    const args = ['--namespace', NAMESPACE, '--kube-version', '1.36.3', ...VALUES];
    const text = await helm('template', 'edgecache', CHART, ...args);
    const objects = parseAllDocuments(text).flatMap((one) => (one.toJS() as KubeObject | null) ?? []);
    for (const resource of [SERVICE_MONITORS, PROMETHEUS_RULES]) {
      const object = objects.find(({ kind }) => kind === resource.kind);
      if (object === undefined) throw new Error(`the chart has no ${resource.kind}`);
      await strictly(resource, object);
      const stored = await client.get(resource, { namespace: NAMESPACE, name: object.metadata.name });
      expect(fieldAt(stored, 'spec')).toEqual(fieldAt(object, 'spec'));
    }
    const name = 'edgecache-operator-dashboard-fleet';
    const map = await client.get(CONFIG_MAPS, { namespace: NAMESPACE, name });
    expect(fieldAt(map, 'metadata', 'labels', 'grafana_dashboard')).toBe('1');
  });

  test('the schema is one that refuses what Prometheus would not understand', async () => {
    const groups = [{ name: 'g', rules: [{ alert: 'A', expr: '1', for: 'soon' }] }];
    const kind = { apiVersion: PROMETHEUS_RULES.apiVersion, kind: PROMETHEUS_RULES.kind };
    const wrong = { ...kind, metadata: { name: 'wrong', namespace: NAMESPACE }, spec: { groups } };
    const refusal = await strictly(PROMETHEUS_RULES, wrong).catch((error: unknown) => messageOf(error));
    expect(refusal).toContain('spec.groups[0].rules[0].for');
  });

  test('a tier gets a ServiceMonitor of the real schema, with the rights that the chart gives the operator', async () => {
    const monitoring = { labels: { release: 'prometheus' }, intervalSeconds: 5 };
    await client.create(TIERS, {
      apiVersion: TIERS.apiVersion,
      kind: TIERS.kind,
      metadata: { name: 'eu', namespace: 'default' },
      spec: { region: 'eu-west', tier: 'edge', redis: { nodes: ['redis:6379'] }, monitoring },
    });
    const config = readOperatorConfig({
      AGENT_IMAGE: 'edgecache/agent:test',
      POD_NAMESPACE: NAMESPACE,
      POD_NAME: 'operator-a',
      HTTP_PORT: '0',
      LEASE_NAME: 'edgecache-operator',
    });
    const logger = pino({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent' });
    ended = runOperator({ config, credentials: server.credentials(OPERATOR), logger }, stop.signal).catch(
      (error: unknown) => error,
    );
    const made = await eventually(
      'a ServiceMonitor',
      () => client.get(SERVICE_MONITORS, { namespace: 'default', name: 'edgecache-eu' }),
      30_000,
    );
    expect(made.metadata.labels).toMatchObject({ release: 'prometheus', 'edgecache.dev/tier': 'eu' });
    expect(fieldAt(made, 'spec', 'endpoints')).toMatchObject([
      { port: 'http', path: '/metrics', interval: '5s' },
    ]);
    const { apiVersion = '', kind = '', spec } = made;
    await strictly(SERVICE_MONITORS, {
      apiVersion,
      kind,
      metadata: { name: made.metadata.name, namespace: 'default' },
      spec,
    });
  });
});
