import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../../hack/local/children.ts';
import { AgentLink } from '../agent-link.ts';
import { FakeAgent } from '../testing/fake-agent.ts';
import { Follower } from './follower.ts';

let agent: FakeAgent;
let link: AgentLink | undefined;
let time: number;
let follower: Follower;
let resets: string[];
let freshAtReset: number[];
let dropped: string[];
const opened: { stop(): void }[] = [];

function follow(): Follower {
  const made = new Follower({
    agent: () => link,
    namespaces: ['ns'],
    clientId: 'test',
    leaseMs: 5_000,
    renewMs: 10,
    now: () => time,
    random: () => 0,
    invalidated: ({ keys }) => dropped.push(...keys),
    reset: (reason) => {
      resets.push(reason);
      freshAtReset.push(made.freshUntil);
    },
  });
  opened.push(made);
  made.start();
  return made;
}

beforeEach(async () => {
  time = 10_000;
  resets = [];
  freshAtReset = [];
  dropped = [];
  agent = await FakeAgent.start({ streams: true });
  link = new AgentLink(agent.address, 1_000);
  await link.connected();
});

afterEach(() => {
  for (const one of opened.splice(0)) one.stop();
  link?.close();
  agent.stop();
});

const isFollowing = () => until('it follows', () => follower.agent !== '');

describe('a lease', () => {
  it('is counted from before it was asked for, however late the answer is read', async () => {
    agent.leaseMs = undefined;
    follower = follow();
    await until('it has asked', () => agent.followed.length === 1);
    // The process was frozen, or the network held the answer.
    time = 10_700;
    agent.tell({ $case: 'lease', value: { leaseMs: 1_000, nonce: 0 } });
    await isFollowing();
    expect(follower.freshUntil).toBe(11_000);
    await until('it asks again', () => agent.followed.some(({ $case }) => $case === 'renew'));
    const renewal = agent.followed.find(({ $case }) => $case === 'renew');
    time = 12_000;
    const nonce = renewal?.$case === 'renew' ? renewal.value.nonce : 0;
    agent.tell({ $case: 'lease', value: { leaseMs: 1_000, nonce } });
    await until('it is extended', () => follower.freshUntil === 11_700);
  });

  it('that nobody asked for is none', async () => {
    agent.leaseMs = 0;
    follower = follow();
    await isFollowing();
    agent.tell({ $case: 'lease', value: { leaseMs: 9_999, nonce: 77_777 } });
    agent.tell({
      $case: 'invalidation',
      value: { namespace: 'ns', keys: ['k'], tags: [], version: '1-0', eventId: '' },
    });
    await until('it has read both', () => dropped.length === 1);
    expect(follower.freshUntil).toBeLessThanOrEqual(time);
  });

  it('ends with a reset, with the stream, and with a message that is not understood', async () => {
    for (const doubt of [
      () => agent.tell({ $case: 'reset', value: { reason: 'as told' } }),
      () => agent.follows.at(-1)?.end(),
      () => agent.follows.at(-1)?.write({ kind: undefined }),
    ]) {
      agent.leaseMs = 1_000;
      follower = follow();
      await until('it has a lease', () => follower.freshUntil > time);
      const before = resets.length;
      doubt();
      await until('it starts over', () => resets.length > before);
      // A lease that is given after that is a new one.
      expect(new Set(freshAtReset)).toEqual(new Set([0]));
      follower.stop();
    }
  });
});

it('holds nothing before the agent has said that it tells everything', async () => {
  agent.leaseMs = undefined;
  follower = follow();
  await until('it has asked', () => agent.followed.length === 1);
  expect(follower.agent).toBe('');
  agent.tell({ $case: 'lease', value: { leaseMs: 0, nonce: 0 } });
  await isFollowing();
  expect(follower.agent).toBe('process-1');
  expect(resets).toEqual(['a new agent is followed']);
});

it('acknowledges a barrier only behind what came before it', async () => {
  follower = follow();
  await isFollowing();
  agent.tell({
    $case: 'invalidation',
    value: { namespace: 'ns', keys: ['k'], tags: [], version: '1-0', eventId: '' },
  });
  agent.tell({ $case: 'barrier', value: { sequence: 9 } });
  await until('it acknowledges', () => agent.followed.some(({ $case }) => $case === 'ack'));
  expect(dropped).toEqual(['k']);
  expect(agent.followed.find(({ $case }) => $case === 'ack')).toEqual({
    $case: 'ack',
    value: { sequence: 9 },
  });
});

it('goes where lookups go, and leaves the other agent in order', async () => {
  follower = follow();
  await isFollowing();
  const other = await FakeAgent.start({ streams: true });
  other.identity = 'process-2';
  const first = link;
  link = new AgentLink(other.address, 1_000);
  await link.connected();
  await until('it follows the other', () => follower.agent === 'process-2');
  await until('it has left', () => agent.followed.some(({ $case }) => $case === 'leave'));
  first?.close();
  follower.stop();
  link.close();
  other.stop();
});

it('gives up an agent that says nothing, and tries again', async () => {
  agent.leaseMs = undefined;
  follower = follow();
  await until('it has tried twice', () => {
    time += 50;
    return agent.follows.length >= 2;
  });
  expect(follower.freshUntil).toBe(0);
});
