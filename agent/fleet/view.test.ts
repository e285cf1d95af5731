import { expect, it } from 'vitest';
import { SUMMARY } from '../../test/support/agent-summary.ts';
import { GONE_MS } from './beacon.ts';
import type { FleetMember } from './directory.ts';
import { viewFleet } from './view.ts';

const member = (changes: Partial<FleetMember>): FleetMember => ({
  id: 'a-1',
  ageMs: 0,
  ...SUMMARY,
  ...changes,
});

const states = (...members: readonly Partial<FleetMember>[]) =>
  viewFleet(members.map(member)).map(({ id, state }) => `${id} ${state}`);

it('who has fallen silent is gone, whatever it last said', () => {
  expect(states({ ageMs: GONE_MS }, { id: 'b-1', node: 'b', ageMs: GONE_MS + 1 })).toEqual([
    'a-1 ready',
    'b-1 gone',
  ]);
});

it('one that hears no events, or has no Redis, is not called ready', () => {
  expect(states({ ready: false }, { id: 'b-1', node: 'b', status: 'degraded' })).toEqual([
    'a-1 unready',
    'b-1 degraded',
  ]);
});

it('a process that is gone is forgotten where its node has another, and only there', () => {
  const old = { ageMs: 60_000 };
  expect(states({ id: 'a-1', ...old }, { id: 'a-2' }, { id: 'b-1', node: 'b', ...old })).toEqual([
    'a-2 ready',
    'b-1 gone',
  ]);
  // Two agents may run under one name, as they do by default.
  expect(states({ id: 'a-1' }, { id: 'a-2' })).toEqual(['a-1 ready', 'a-2 ready']);
});

it('agents of one region stand together', () => {
  const members = [
    { id: '3', region: 'us-east', node: 'b' },
    { id: '1', region: 'eu-west', node: 'z' },
    { id: '2', region: 'us-east', node: 'a' },
  ];
  expect(states(...members).map((text) => text[0])).toEqual(['1', '2', '3']);
});
