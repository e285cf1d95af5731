import { generateKeyPairSync } from 'node:crypto';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { publicKeyText } from '../../api/reload.ts';
import { issueAuthority } from '../certificates/issue.ts';
import type { KubeObject } from '../kube/object.ts';
import type { AgentConfigFile } from '../manifests/agent-file.ts';
import { aTier, contextOf } from '../testing/a-tier.ts';
import { eventually } from '../testing/eventually.ts';
import { FakeAgent } from '../testing/fake-agent.ts';
import { AgentFleet } from './fleet.ts';
import { NetworkAgentLink } from './link.ts';

const KEY = 'shop/edge-us-east';
const { privateKey } = generateKeyPairSync('ed25519');
const reloadKey = publicKeyText(privateKey);

const fileOf = (generation: number, spec = {}): AgentConfigFile =>
  contextOf(aTier('edge-us-east', spec, { generation }), { reloadKey }).file;

const slice = (name: string, addresses: readonly string[], conditions = {}): KubeObject => ({
  metadata: { name, namespace: 'shop', labels: { 'edgecache.dev/tier': 'edge-us-east' } },
  endpoints: addresses.map((address) => ({
    addresses: [address],
    conditions,
    nodeName: `node-of-${address}`,
    targetRef: { uid: `pod-at-${address}` },
  })),
});

/** Real agents' side of the contract, over real sockets: each has an address of its own in 127.0.0.0/8. */
describe('the fleet', () => {
  const addresses = ['127.0.0.2', '127.0.0.3', '127.0.0.4'];
  let agents: FakeAgent[];
  let link: NetworkAgentLink;
  let fleet: AgentFleet;
  let stop: AbortController;
  let running: Promise<void>;
  let news: string[];

  beforeEach(async () => {
    const first = await new FakeAgent().listen('127.0.0.2');
    const { httpPort, grpcPort } = first;
    const others = addresses.slice(1).map((address) => new FakeAgent().listen(address, httpPort, grpcPort));
    agents = [first, ...(await Promise.all(others))];
    news = [];
    link = new NetworkAgentLink({ privateKey, grpcPort, httpPort, timeoutMs: 500 });
    fleet = new AgentFleet({
      link,
      logger: pino({ level: 'silent' }),
      onNews: (key) => news.push(key),
      timing: { statsIntervalMs: 50, retryBaseMs: 20, retryMaxMs: 50 },
    });
    stop = new AbortController();
    running = fleet.run(stop.signal);
  });

  afterEach(async () => {
    stop.abort();
    await running;
    await link.close();
    for (const agent of agents) await agent[Symbol.asyncDispose]();
  });

  const configured = (count: number) =>
    eventually(`${count} configured agents`, () => fleet.summary(KEY).configured === count);
  const has = (index: number, generation: number) =>
    agents[index]?.files.get(KEY)?.origin.generation === generation;

  test('hands the configuration to all agents, and to those that come later', async () => {
    fleet.onSlice('shop/s', slice('s', addresses.slice(0, 2)), undefined);
    fleet.setConfig(KEY, fileOf(1));
    await configured(2);
    expect([has(0, 1), has(1, 1), has(2, 1)]).toEqual([true, true, false]);
    fleet.onSlice('shop/t', slice('t', addresses.slice(2)), undefined);
    await configured(3);
    expect(news).toContain(KEY);
  });

  test('hands over a change once to each, and nothing where nothing has changed', async () => {
    fleet.onSlice('shop/s', slice('s', addresses), undefined);
    fleet.setConfig(KEY, fileOf(1));
    await configured(3);
    fleet.setConfig(KEY, fileOf(1));
    fleet.onSlice('shop/s', slice('s', addresses), undefined);
    fleet.setConfig(KEY, fileOf(2));
    await configured(3);
    for (const agent of agents) expect(agent.pushes.map((push) => push.status)).toEqual([200, 200]);
  });

  test('goes on with the others when one is out of reach, and comes back to it', async () => {
    const [, broken] = agents;
    if (broken === undefined) throw new Error('no agent');
    broken.isBroken = true;
    fleet.onSlice('shop/s', slice('s', [...addresses, '127.0.0.99']), undefined);
    fleet.setConfig(KEY, fileOf(1));
    await configured(2);
    expect(fleet.summary(KEY).failure).toMatch(/^the agent on node 'node-of-127/);
    broken.isBroken = false;
    await configured(3);
  });

  test('does not insist where an agent refuses, until there is something else to hand over', async () => {
    const [agent] = agents;
    if (agent === undefined) throw new Error('no agent');
    agent.refusal = 'too large for this node';
    fleet.onSlice('shop/s', slice('s', addresses.slice(0, 1)), undefined);
    fleet.setConfig(KEY, fileOf(1));
    await eventually('a refusal', () => fleet.summary(KEY).refusal !== undefined);
    expect(fleet.summary(KEY).refusal).toBe("the agent on node 'node-of-127.0.0.2': too large for this node");
    const rounds = agent.statsCalls;
    await eventually('some rounds of statistics', () => agent.statsCalls > rounds + 2);
    expect(agent.pushes).toHaveLength(1);
    agent.refusal = undefined;
    fleet.setConfig(KEY, fileOf(2));
    await configured(1);
    expect(fleet.summary(KEY).refusal).toBeUndefined();
  });

  test('leaves agents as they are when a tier is paused, and those alone that are going', async () => {
    fleet.onSlice('shop/s', slice('s', addresses.slice(0, 1)), undefined);
    fleet.onSlice('shop/t', slice('t', addresses.slice(1, 2), { terminating: true }), undefined);
    fleet.setConfig(KEY, fileOf(1));
    await configured(1);
    fleet.setConfig(KEY, undefined);
    fleet.onSlice('shop/u', slice('u', addresses.slice(2)), undefined);
    await eventually('statistics of both', () => fleet.summary(KEY).sampled === 2);
    expect(agents.map((agent) => agent.pushes.length)).toEqual([1, 0, 0]);
  });

  test('sees to it that an agent that was started again gets the newest configuration', async () => {
    fleet.onSlice('shop/s', slice('s', addresses.slice(0, 1)), undefined);
    fleet.setConfig(KEY, fileOf(1));
    await configured(1);
    agents[0]?.forgetConfig();
    await eventually('another push', () => agents[0]?.pushes.length === 2);
    await configured(1);
  });

  test('sums up statistics in whole numbers', async () => {
    const [, second] = agents;
    if (second !== undefined) second.isRedisConnected = false;
    fleet.onSlice('shop/s', slice('s', addresses), undefined);
    await eventually('statistics', () => fleet.summary(KEY).sampled === 3);
    expect(fleet.summary(KEY)).toMatchObject({
      agents: 3,
      redisConnected: 2,
      stats: { l1HitPercent: 85, hitPercent: 98, propagationP99Ms: 2, redisMemoryUsedMb: 42 },
    });
  });

  test('forgets agents that are gone', async () => {
    fleet.onSlice('shop/s', slice('s', addresses), undefined);
    fleet.onSlice('shop/s', undefined, slice('s', addresses));
    expect(fleet.summary(KEY)).toMatchObject({ agents: 0, configured: 0, sampled: 0 });
  });
});

test('when a certificate ends is seen where an agent shows it, whoever made it', async () => {
  const notAfter = new Date('2031-02-03T04:05:06Z');
  const authority = issueAuthority('somebody', { notBefore: new Date('2026-01-01T00:00:00Z'), notAfter });
  const agent = await new FakeAgent(authority).listen('127.0.0.1');
  const { grpcPort, httpPort } = agent;
  const link = new NetworkAgentLink({ privateKey, grpcPort, httpPort });
  const signal = AbortSignal.timeout(30_000);
  try {
    expect(await link.certificateEnd('127.0.0.1', signal)).toEqual(notAfter);
    const plain = new NetworkAgentLink({ privateKey, grpcPort: httpPort, httpPort });
    await expect(plain.certificateEnd('127.0.0.1', signal)).rejects.toThrow();
  } finally {
    await link.close();
    await agent[Symbol.asyncDispose]();
  }
});
