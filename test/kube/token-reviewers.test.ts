import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { conditionsOf } from '../../operator/controller/status.ts';
import { KubeError } from '../../operator/errors.ts';
import { mergePatch } from '../../operator/kube/apply.ts';
import type { KubeClient } from '../../operator/kube/client.ts';
import { fieldAt } from '../../operator/kube/object.ts';
import { CLUSTER_ROLE_BINDINGS, TIERS } from '../../operator/kube/resources.ts';
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
const BINDING = `${OPERATOR_NAMESPACE}-edgecache-operator-token-reviews`;
const agentOf = (tier: string) => `system:serviceaccount:default:edgecache-${tier}`;

describe.skipIf(reasons.length > 0)('who may have tokens reviewed, on a real API server', () => {
  let server: TestApiServer;
  let client: KubeClient;
  let agent: FakeAgent;
  let operator: RunningOperator;

  beforeAll(async () => {
    if (binaries === undefined) return;
    const agents = ['a', 'b'].map((name) => ({ name: agentOf(name), groups: ['system:authenticated'] }));
    server = await TestApiServer.start(binaries, { users: [OPERATOR_USER, ...agents] });
    client = server.client();
    await installChart(server.writeKubeConfig(), OPERATOR_NAMESPACE);
    agent = await new FakeAgent().listen('127.0.0.1');
    operator = new RunningOperator(server, agent, 'operator-a', { TOKEN_REVIEW_BINDING: BINDING });
  }, 120_000);
  afterAll(async () => {
    await operator?.stop();
    await agent?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  const rule = { identities: ['serviceaccount:default/*'], namespaces: ['*'], allow: ['read'] };
  const makeTier = (name: string) =>
    client.create(TIERS, {
      apiVersion: TIERS.apiVersion,
      kind: TIERS.kind,
      metadata: { name, namespace: 'default' },
      spec: {
        region: 'us-east',
        tier: 'edge',
        redis: { nodes: ['redis:6379'] },
        security: { auth: { required: true, serviceAccounts: true }, accessRules: [rule] },
      },
    });
  const subjects = async () =>
    fieldAt(await client.get(CLUSTER_ROLE_BINDINGS, { name: BINDING }), 'subjects') ?? [];
  const accounts = (...tiers: string[]) =>
    tiers.map((tier) => expect.objectContaining({ name: `edgecache-${tier}`, namespace: 'default' }));
  const review = (user: string) =>
    server.client(user).json({
      method: 'POST',
      path: '/apis/authentication.k8s.io/v1/tokenreviews',
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token: 'nobody’s' } },
    });
  const isRefused = (error: unknown) => error instanceof KubeError && error.status === 403;

  test('agents of tiers that take tokens of ServiceAccounts, and no others', async () => {
    await expect(review(agentOf('a'))).rejects.toSatisfy(isRefused);
    await makeTier('a');
    await eventually('a may', () => review(agentOf('a')));
    await expect(review(agentOf('b'))).rejects.toSatisfy(isRefused);
    await makeTier('b');
    await eventually('b may too', () => review(agentOf('b')));
    expect(await subjects()).toEqual(accounts('a', 'b'));
  });

  test('not those of a tier that wants it no more, or is gone', async () => {
    const security = { auth: { required: false, serviceAccounts: false }, accessRules: null };
    await mergePatch(
      client,
      TIERS,
      { metadata: { name: 'a', namespace: 'default' } },
      { spec: { security } },
    );
    await eventually(
      'b alone',
      async () => JSON.stringify(await subjects()).includes('edgecache-a') === false,
    );
    await client.delete(TIERS, await client.get(TIERS, { namespace: 'default', name: 'b' }));
    await eventually('nobody', async () => ((await subjects()) as unknown[]).length === 0);
    await expect(review(agentOf('b'))).rejects.toSatisfy(isRefused);
  });

  test('the operator may change that binding alone, and hand on no other role', async () => {
    const asOperator = server.client(OPERATOR);
    await expect(asOperator.get(CLUSTER_ROLE_BINDINGS, { name: BINDING })).rejects.toSatisfy(isRefused);
    const other = { metadata: { name: 'cluster-admin' } };
    await expect(mergePatch(asOperator, CLUSTER_ROLE_BINDINGS, other, { subjects: [] })).rejects.toSatisfy(
      isRefused,
    );
    const { apiVersion, kind } = CLUSTER_ROLE_BINDINGS;
    const made = {
      apiVersion,
      kind,
      metadata: { name: 'mine' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: BINDING },
      subjects: [],
    };
    await expect(asOperator.create(CLUSTER_ROLE_BINDINGS, made)).rejects.toSatisfy(isRefused);
  });

  test('an upgrade of the chart leaves them, and a chart without it is told of', async () => {
    await makeTier('c');
    await eventually('c', async () => JSON.stringify(await subjects()).includes('edgecache-c'));
    await installChart(server.writeKubeConfig(), OPERATOR_NAMESPACE, '--set', 'operator.workers=2');
    expect(await subjects()).toEqual(accounts('c'));
    await installChart(server.writeKubeConfig(), OPERATOR_NAMESPACE, '--set', 'tokenReviews.enabled=false');
    await makeTier('d');
    const told = await eventually('a refusal', async () =>
      conditionsOf(await client.get(TIERS, { namespace: 'default', name: 'd' })).find(
        ({ reason, type }) => type === 'ConfigAccepted' && reason === 'TokenReviewRefused',
      ),
    );
    expect(told.message).toContain('install the chart with tokenReviews.enabled=true');
  });
});
