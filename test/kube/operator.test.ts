import { execFile } from 'node:child_process';
import { networkInterfaces } from 'node:os';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Condition } from '../../api/tier-status.ts';
import { conditionsOf, liveStatus } from '../../operator/controller/status.ts';
import { isNotFound } from '../../operator/errors.ts';
import { mergePatch } from '../../operator/kube/apply.ts';
import type { KubeClient } from '../../operator/kube/client.ts';
import { fieldAt, type KubeObject, numberAt } from '../../operator/kube/object.ts';
import {
  CERTIFICATES,
  CHILD_RESOURCES,
  CONFIG_MAPS,
  DAEMON_SETS,
  EVENTS,
  LEASES,
  NETWORK_POLICIES,
  NODES,
  pathOf,
  type Resource,
  SERVICE_ACCOUNTS,
  SERVICE_MONITORS,
  SERVICES,
  TIERS,
} from '../../operator/kube/resources.ts';
import { MANAGED_SELECTOR } from '../../operator/manifests/names.ts';
import { eventually } from '../../operator/testing/eventually.ts';
import { FakeAgent } from '../../operator/testing/fake-agent.ts';
import { findKubeBinaries, NO_BINARIES, TestApiServer } from './api-server.ts';
import { FakeKubelet } from './fake-kubelet.ts';
import { findHelm, installChart } from './helm.ts';
import { OPERATOR_NAMESPACE, OPERATOR_USER, RunningOperator } from './running-operator.ts';

const run = promisify(execFile);
const binaries = findKubeBinaries();
const helm = findHelm();
const hostIp = Object.values(networkInterfaces())
  .flat()
  .find((address) => address !== undefined && !address.internal && address.family === 'IPv4')?.address;
const missing = [
  binaries?.controllerManager === undefined ? NO_BINARIES : undefined,
  helm === undefined ? 'no helm' : undefined,
  hostIp === undefined ? 'no address but loopback, which endpoints may not have' : undefined,
].filter((reason) => reason !== undefined);
if (missing.length > 0) console.warn(`skipped: ${missing.join('; ')}`);

const NAMESPACES: Resource = { apiVersion: 'v1', kind: 'Namespace', plural: 'namespaces', namespaced: false };
/** Kinds that this cluster does not know. */
const OPTIONAL: readonly Resource[] = [CERTIFICATES, SERVICE_MONITORS];
const logger = pino({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent' });

vi.setConfig({ testTimeout: 90_000 });
/** The garbage collector looks for new kinds every 30 s: until then it does not know tiers. */
const COLLECTED_MS = 60_000;

describe.skipIf(missing.length > 0)(
  'the operator on a real API server, with the rights that the chart gives it',
  () => {
    let server: TestApiServer;
    let client: KubeClient;
    let agent: FakeAgent;
    let kubelet: FakeKubelet;
    let operator: RunningOperator;
    const stopKubelet = new AbortController();

    beforeAll(async () => {
      if (binaries === undefined || hostIp === undefined) return;
      server = await TestApiServer.start(binaries, { users: [OPERATOR_USER], withControllers: true });
      client = server.client();
      await installChart(server.writeKubeConfig(), OPERATOR_NAMESPACE);
      // Pods of agents that are less than restricted would be refused here, and never become ready.
      const restricted = { 'pod-security.kubernetes.io/enforce': 'restricted' };
      await mergePatch(
        client,
        NAMESPACES,
        { metadata: { name: 'default' } },
        { metadata: { labels: restricted } },
      );
      agent = await new FakeAgent().listen('0.0.0.0');
      kubelet = new FakeKubelet(client, logger, hostIp);
      void kubelet.run(stopKubelet.signal);
      for (const name of ['east-1', 'east-2'])
        await makeNode(name, { 'topology.kubernetes.io/region': 'us-east' });
      await makeNode('west-1', { 'topology.kubernetes.io/region': 'eu-west' });
      operator = new RunningOperator(server, agent, 'operator-a');
      await eventually(
        'a leader',
        async () => (await operator.metric('edgecache_operator_leader')) === 1,
        30_000,
      );
    }, 120_000);

    afterAll(async () => {
      await operator?.stop();
      stopKubelet.abort();
      await agent?.[Symbol.asyncDispose]();
      await server?.[Symbol.asyncDispose]();
    });

    const makeNode = async (name: string, labels: Record<string, string>) => {
      await client.create(NODES, { apiVersion: 'v1', kind: 'Node', metadata: { name, labels } });
      // A new node is not ready, and nobody here would find it so.
      await mergePatch(client, NODES, { metadata: { name } }, { spec: { taints: null } });
    };

    const makeTier = (
      name: string,
      spec: Record<string, unknown> = {},
      metadata: Record<string, unknown> = {},
    ) =>
      client.create(TIERS, {
        apiVersion: TIERS.apiVersion,
        kind: TIERS.kind,
        metadata: { name, namespace: 'default', ...metadata },
        spec: {
          region: 'us-east',
          tier: 'edge',
          redis: { nodes: ['redis:6379'] },
          rollout: { minReadySeconds: 0, maxUnavailable: '100%' },
          ...spec,
        },
      });

    const tierNamed = (name: string) => client.get(TIERS, { namespace: 'default', name });
    const child = (resource: Resource, name: string) => client.get(resource, { namespace: 'default', name });
    const patchTier = (name: string, patch: Record<string, unknown>) =>
      mergePatch(client, TIERS, { metadata: { name, namespace: 'default' } }, patch);

    const condition = (name: string, type: string, wanted: Partial<Condition>): Promise<Condition> =>
      eventually(`${type} of ${name} to be ${JSON.stringify(wanted)}`, async () => {
        const found = conditionsOf(await tierNamed(name)).find((c) => c.type === type);
        if (found === undefined) return undefined;
        const matches = Object.entries(wanted).every(([field, value]) => Reflect.get(found, field) === value);
        if (!matches) throw new Error(JSON.stringify(found));
        return found;
      });

    const isGone = (resource: Resource, name: string): Promise<true> =>
      eventually(
        `${resource.kind} ${name} to be gone`,
        () =>
          child(resource, name).then(
            () => false as const,
            (error: unknown) => isNotFound(error) as true,
          ),
        COLLECTED_MS,
      );

    const reasons = async (tier: string): Promise<string[]> => {
      const list = await client.json({ path: pathOf(EVENTS, { namespace: 'default' }) });
      const items = fieldAt(list, 'items') as KubeObject[];
      return items.filter((e) => fieldAt(e, 'regarding', 'name') === tier).map((e) => String(e['reason']));
    };

    const eventOf = (tier: string, reason: string) =>
      eventually(`event ${reason} on ${tier}`, async () => (await reasons(tier)).includes(reason));

    const deleteTier = async (name: string) => {
      await client.delete(TIERS, await tierNamed(name));
      await isGone(DAEMON_SETS, `edgecache-${name}`);
    };

    test('makes agents for a tier, and says when they are ready', async () => {
      await makeTier('first');
      const ready = await condition('first', 'Ready', { status: 'True' });
      expect(ready).toMatchObject({
        reason: 'AgentsReady',
        message: 'All 2 agents are ready.',
        observedGeneration: 1,
      });
      await condition('first', 'RolloutComplete', { status: 'True' });
      await condition('first', 'RedisReachable', { status: 'True' });
      const status = liveStatus(await tierNamed('first'));
      expect(status).toMatchObject({
        desiredAgents: 2,
        readyAgents: 2,
        updatedAgents: 2,
        configuredAgents: 2,
        l1MaxEntries: 500,
      });
      await eventually('statistics', async () => liveStatus(await tierNamed('first')).sampledAgents === 2);
      expect(liveStatus(await tierNamed('first'))).toMatchObject({
        l1HitPercent: 85,
        hitPercent: 98,
        propagationP99Ms: 2,
        redisMemoryUsedMb: 42,
      });
      for (const reason of ['Created', 'AgentsReady', 'RolloutComplete']) await eventOf('first', reason);
    });

    test('kubectl shows it in one line, and explains its fields', async () => {
      const env = { ...process.env, KUBECONFIG: server.writeKubeConfig() };
      const { stdout } = await run('kubectl', ['get', 'ect'], { env });
      expect(stdout.split('\n')[0]?.split(/\s+/)).toEqual([
        'NAME',
        'REGION',
        'TIER',
        'DESIRED',
        'READY',
        'L1',
        'HIT%',
        'STATUS',
        'AGE',
      ]);
      expect(stdout).toMatch(/first\s+us-east\s+edge\s+2\s+2\s+500\s+98\s+AgentsReady\s/);
      const explained = await run('kubectl', ['explain', 'ect.spec.namespaces'], { env });
      expect(explained.stdout).toContain('How long an entry lives in Redis (L2).');
    });

    test('a change of a TTL reaches running agents, and no pod is restarted', async () => {
      const before = await child(DAEMON_SETS, 'edgecache-first');
      await patchTier('first', { spec: { l1: { ttlSeconds: 7, maxEntries: 123 } } });
      await eventually('the agents to have it', () => agent.files.get('default/first')?.l1.ttlSeconds === 7);
      await eventually('its confirmation', async () => {
        const tier = await tierNamed('first');
        return (
          liveStatus(tier).observedGeneration === tier.metadata.generation &&
          liveStatus(tier).configuredAgents === 2
        );
      });
      const after = await child(DAEMON_SETS, 'edgecache-first');
      expect(after.metadata.generation).toBe(before.metadata.generation);
      expect(fieldAt(await child(CONFIG_MAPS, 'edgecache-first'), 'data', 'agent.json')).toContain(
        '"ttlSeconds": 7',
      );
      expect(liveStatus(await tierNamed('first')).l1MaxEntries).toBe(123);
    });

    test('a change that needs new pods rolls them', async () => {
      const podsBefore = new Set([...kubelet.pods.values()].map((pod) => pod.metadata.uid));
      await patchTier('first', {
        spec: { redis: { nodes: ['other-redis:6380'], passwordSecretRef: { name: 'auth' } } },
      });
      await eventually('two new pods', () => {
        const pods = [...kubelet.pods.values()].filter((pod) => !podsBefore.has(pod.metadata.uid));
        return pods.length === 2 && kubelet.pods.size === 2;
      });
      await condition('first', 'RolloutComplete', { status: 'True', observedGeneration: 3 });
      await condition('first', 'Ready', { status: 'True' });
      const policy = await child(NETWORK_POLICIES, 'edgecache-first');
      expect(JSON.stringify(fieldAt(policy, 'spec', 'egress'))).toContain('6380');
    });

    test('a reconcile of what is as it should be writes nothing', async () => {
      await condition('first', 'RolloutComplete', { status: 'True' });
      const versions = async () => {
        const all = CHILD_RESOURCES.filter((resource) => !OPTIONAL.includes(resource)).map((resource) =>
          client.json({ path: pathOf(resource), query: { labelSelector: MANAGED_SELECTOR } }),
        );
        const lists = await Promise.all(all);
        return lists.flatMap((list) =>
          (fieldAt(list, 'items') as KubeObject[]).map((item) => item.metadata.resourceVersion),
        );
      };
      const patches = () => operator.metric('edgecache_operator_api_requests_total{method="PATCH"');
      const reconciles = () => operator.metric('edgecache_operator_reconcile_total');
      const [versionsBefore, patchesBefore, reconcilesBefore] = [
        await versions(),
        await patches(),
        await reconciles(),
      ];
      await patchTier('first', { metadata: { annotations: { 'example.com/touched': 'yes' } } });
      await eventually('a reconcile', async () => (await reconciles()) > reconcilesBefore);
      expect(await versions()).toEqual(versionsBefore);
      expect(await patches()).toBe(patchesBefore);
    });

    test('puts right what others change, add, take away or delete', async () => {
      const namespace = 'default';
      const name = 'edgecache-first';
      const file = fieldAt(await child(CONFIG_MAPS, name), 'data', 'agent.json');
      await mergePatch(
        client,
        CONFIG_MAPS,
        { metadata: { name, namespace } },
        { data: { 'agent.json': '{}', more: 'x' } },
      );
      await eventually('the ConfigMap as it was', async () => {
        const data = (await child(CONFIG_MAPS, name))['data'] as Record<string, string>;
        return data['agent.json'] === file && Object.keys(data).length === 1;
      });
      await mergePatch(
        client,
        SERVICES,
        { metadata: { name, namespace } },
        { spec: { selector: { extra: 'label' } } },
      );
      await eventually('the selector as it was', async () => {
        const selector = fieldAt(await child(SERVICES, name), 'spec', 'selector');
        return !Object.keys(selector as object).includes('extra');
      });
      const { uid } = (await child(SERVICES, name)).metadata;
      await client.delete(SERVICES, await child(SERVICES, name));
      await eventually('a new Service', async () => (await child(SERVICES, name)).metadata.uid !== uid);
      const image = [{ name: 'agent', image: 'evil:1' }];
      await client.json({
        method: 'PATCH',
        path: pathOf(DAEMON_SETS, { namespace, name }),
        contentType: 'application/strategic-merge-patch+json',
        body: {
          spec: { template: { spec: { containers: [...image, { name: 'miner', image: 'miner:1' }] } } },
        },
      });
      await eventually('the DaemonSet as it was', async () => {
        const containers = fieldAt(
          await child(DAEMON_SETS, name),
          'spec',
          'template',
          'spec',
          'containers',
        ) as KubeObject[];
        return containers.length === 1 && containers[0]?.['image'] === 'edgecache/agent:test';
      });
      // As `kubectl set env` does it: applying ours alone would leave both, which is invalid.
      const forged = [{ name: 'EDGE_NODE_ID', value: 'forged', valueFrom: null }];
      await client.json({
        method: 'PATCH',
        path: pathOf(DAEMON_SETS, { namespace, name }),
        contentType: 'application/strategic-merge-patch+json',
        body: { spec: { template: { spec: { containers: [{ name: 'agent', env: forged }] } } } },
      });
      await eventually('the variable as it was', async () => {
        const spec = JSON.stringify((await child(DAEMON_SETS, name))['spec']);
        return !spec.includes('forged') && spec.includes('spec.nodeName');
      });
      await eventOf('first', 'DriftCorrected');
      await condition('first', 'RolloutComplete', { status: 'True' });
    });

    test('prunes what a changed spec no longer stands for', async () => {
      await patchTier('first', { spec: { networkPolicy: { policy: 'None' } } });
      await isGone(NETWORK_POLICIES, 'edgecache-first');
      await eventOf('first', 'Pruned');
      await patchTier('first', { spec: { networkPolicy: { policy: 'Managed' } } });
      await eventually('the policy', () => child(NETWORK_POLICIES, 'edgecache-first'));
    });

    test('changes nothing while a tier is paused, and everything when it is not', async () => {
      await patchTier('first', { metadata: { annotations: { 'edgecache.dev/paused': 'true' } } });
      await condition('first', 'Paused', { status: 'True' });
      await patchTier('first', { spec: { l1: { ttlSeconds: 9 } } });
      const { generation = 0 } = (await tierNamed('first')).metadata;
      await eventually(
        'a look at it',
        async () => liveStatus(await tierNamed('first')).observedGeneration === generation,
      );
      expect(fieldAt(await child(CONFIG_MAPS, 'edgecache-first'), 'data', 'agent.json')).toContain(
        '"ttlSeconds": 7',
      );
      expect(agent.files.get('default/first')?.l1.ttlSeconds).toBe(7);
      await patchTier('first', { metadata: { annotations: { 'edgecache.dev/paused': null } } });
      await eventually('the agents to have it', () => agent.files.get('default/first')?.l1.ttlSeconds === 9);
      await condition('first', 'Paused', { status: 'False' });
      await eventOf('first', 'Resumed');
    });

    test('says what an agent refuses, and goes on when that is mended', async () => {
      agent.refusal = 'partitions is 16, but the cache was made with 8';
      await patchTier('first', { spec: { l1: { ttlSeconds: 11 } } });
      const refused = await condition('first', 'ConfigAccepted', {
        status: 'False',
        reason: 'RefusedByAgent',
      });
      expect(refused.message).toMatch(/^Refused by the agent on node 'east-[12]': partitions is 16/);
      agent.refusal = undefined;
      await patchTier('first', { spec: { l1: { ttlSeconds: 12 } } });
      await condition('first', 'ConfigAccepted', { status: 'True' });
      await condition('first', 'RolloutComplete', { status: 'True' });
    });

    test('keeps trying an agent that cannot be reached', async () => {
      agent.isBroken = true;
      await patchTier('first', { spec: { l1: { ttlSeconds: 13 } } });
      const spreading = await condition('first', 'RolloutComplete', {
        status: 'False',
        reason: 'ConfigSpreading',
      });
      expect(spreading.message).toContain('0 of 2 agents have confirmed the newest configuration.');
      agent.isBroken = false;
      await condition('first', 'RolloutComplete', { status: 'True' });
    });

    test('hands its configuration again to an agent that has started by an older file', async () => {
      const before = agent.pushes.length;
      agent.forgetConfig();
      await eventually('another push', () => agent.pushes.length > before);
      await condition('first', 'RolloutComplete', { status: 'True' });
    });

    test('says when agents do not reach Redis', async () => {
      agent.isRedisConnected = false;
      await condition('first', 'RedisReachable', { status: 'False', reason: 'Disconnected' });
      await condition('first', 'Ready', { status: 'False', reason: 'RedisUnreachable' });
      agent.isRedisConnected = true;
      await condition('first', 'Ready', { status: 'True' });
    });

    test('says when agents keep less because memory runs short, and when that is over', async () => {
      agent.l1SizeShare = 0.5;
      await condition('first', 'MemoryPressure', { status: 'True', reason: 'MemoryShort' });
      await eventOf('first', 'MemoryPressure');
      agent.l1SizeShare = 1;
      await condition('first', 'MemoryPressure', { status: 'False' });
      await eventOf('first', 'MemoryPressureEnded');
    });

    test('follows nodes as they get and lose the label of the region', async () => {
      const label = (region: string | null) =>
        mergePatch(
          client,
          NODES,
          { metadata: { name: 'west-1' } },
          { metadata: { labels: { 'topology.kubernetes.io/region': region } } },
        );
      await label('us-east');
      await eventually('a third agent', async () => liveStatus(await tierNamed('first')).readyAgents === 3);
      await label('eu-west');
      await eventually('two agents', async () => liveStatus(await tierNamed('first')).desiredAgents === 2);
    });

    test('says when no node is selected', async () => {
      await makeTier('nowhere', { region: 'mars' });
      const found = await condition('nowhere', 'Ready', { status: 'False', reason: 'NoMatchingNodes' });
      expect(found.message).toBe(
        'No node has the label topology.kubernetes.io/region=mars. Label the nodes so, or set spec.nodeSelector.',
      );
      await eventOf('nowhere', 'NoMatchingNodes');
      await deleteTier('nowhere');
    });

    test('allows two tiers on one node, and says so on both', async () => {
      await makeTier('second', { tier: 'regional' });
      const found = await condition('second', 'NodeOverlap', { status: 'True' });
      expect(found.message).toBe("2 nodes are selected by 'default/first' as well.");
      await condition('first', 'NodeOverlap', { status: 'True' });
      await condition('second', 'Ready', { status: 'True' });
    });

    test('deleting a tier removes all that it made, and nothing else', async () => {
      await deleteTier('second');
      for (const resource of [SERVICE_ACCOUNTS, CONFIG_MAPS, NETWORK_POLICIES, SERVICES])
        await isGone(resource, 'edgecache-second');
      await isGone(SERVICES, 'edgecache-second-agents');
      await condition('first', 'NodeOverlap', { status: 'False' });
      await child(DAEMON_SETS, 'edgecache-first');
      await child(SERVICES, 'edgecache-first-agents');
    });

    test('takes over nothing that belongs to somebody else', async () => {
      const theirs = {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'edgecache-third', namespace: 'default' },
        spec: { selector: { app: 'theirs' }, ports: [{ port: 80 }] },
      };
      const made = await client.create(SERVICES, theirs);
      await makeTier('third');
      const taken = await condition('third', 'ConfigAccepted', { status: 'False', reason: 'NameTaken' });
      expect(taken.message).toContain("Service 'edgecache-third' exists and does not belong to this tier");
      expect(await child(SERVICES, 'edgecache-third')).toEqual(made);
      await client.delete(TIERS, await tierNamed('third'));
      await isGone(CONFIG_MAPS, 'edgecache-third');
      expect(await child(SERVICES, 'edgecache-third')).toEqual(made);
    });

    test('makes ServiceMonitors only where the cluster knows them', async () => {
      await expect(client.json({ path: `/apis/${SERVICE_MONITORS.apiVersion}` })).rejects.toSatisfy(
        isNotFound,
      );
      expect(await reasons('first')).not.toContain('ReconcileFailed');
    });

    test('is well and ready', async () => {
      expect(await operator.status('/healthz')).toBe(200);
      expect(await operator.status('/readyz')).toBe(200);
      expect(await operator.metric('edgecache_operator_reconcile_total{result="error"}')).toBe(0);
    });

    test('a second replica waits, and takes over when the first one stops', async () => {
      const second = new RunningOperator(server, agent, 'operator-b');
      await eventually('it to be ready', async () => (await second.status('/readyz')) === 200);
      expect(await second.metric('edgecache_operator_leader')).toBe(0);
      await operator.stop();
      await eventually(
        'it to lead',
        async () => (await second.metric('edgecache_operator_leader')) === 1,
        3_000,
      );
      await patchTier('first', { spec: { l1: { ttlSeconds: 15 } } });
      await eventually('the agents to have it', () => agent.files.get('default/first')?.l1.ttlSeconds === 15);
      operator = second;
    });

    test('a leader whose lease is taken ends with an error', async () => {
      await eventually('the lease to be taken', async () => {
        const lease = await client.get(LEASES, { namespace: OPERATOR_NAMESPACE, name: 'edgecache-operator' });
        const spec = {
          ...(lease['spec'] as object),
          holderIdentity: 'somebody-else',
          leaseDurationSeconds: 1,
        };
        await client.replace(LEASES, { ...lease, spec });
        return true;
      });
      const error = await operator.ended;
      expect(error).toMatchObject({ code: 'ECO_LEASE_LOST' });
      // Nobody renews it: another replica takes over when it has run out.
      operator = new RunningOperator(server, agent, 'operator-c');
      await eventually(
        'it to lead',
        async () => (await operator.metric('edgecache_operator_leader')) === 1,
        10_000,
      );
      const lease = await client.get(LEASES, { namespace: OPERATOR_NAMESPACE, name: 'edgecache-operator' });
      expect(numberAt(lease, 'spec', 'leaseTransitions')).toBeGreaterThan(0);
    });
  },
);
