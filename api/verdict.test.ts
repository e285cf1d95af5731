import { describe, expect, it } from 'vitest';
import { judgeKey, type KeyEvent, type KeyExplanation, worstOf } from './verdict.ts';

const AT_MS = 1_700_000_000_000;

/** An agent that was looked at 10 ms before Redis said that it is AT_MS. */
function anAgent(memory: Partial<NonNullable<KeyExplanation['memory']>>, more: Partial<KeyExplanation> = {}) {
  return {
    memory: { version: `${AT_MS - 60_000}-0`, tags: ['t'], unansweredBecause: '', ...memory },
    freshness: { leaseMs: 400, maxStalenessMs: 1_000, current: true },
    redis: { clockUs: AT_MS * 1_000, askedMs: 10, markers: [] },
    ...more,
  } satisfies KeyExplanation;
}

const anEvent = (agoMs: number, effect = 'key'): KeyEvent => ({
  version: `${AT_MS - agoMs}-0`,
  effect,
  loggedAtUs: (AT_MS - agoMs) * 1_000,
});

describe('a verdict', () => {
  it('is empty where memory holds nothing', () => {
    expect(judgeKey({}, [anEvent(5)])).toMatchObject({ kind: 'empty', behind: 0 });
  });

  it('is current where nothing that concerns the key came after what is held', () => {
    expect(judgeKey(anAgent({}), [anEvent(60_000), anEvent(70_000, 'put')]).kind).toBe('current');
  });

  it('does not take for a change: another load, a tag of which nobody knows whether it was its own, a later event', () => {
    const fill = {
      clockUs: AT_MS * 1_000,
      askedMs: 1,
      markers: [],
      stored: { version: `${AT_MS - 5_000}-0.7` },
    };
    const events = [anEvent(5_000, 'maybe_tag'), anEvent(-1)];
    expect(judgeKey(anAgent({}, { redis: fill }), events).kind).toBe('current');
    const other = {
      clockUs: AT_MS * 1_000,
      askedMs: 1,
      markers: [{ tag: 'other', version: `${AT_MS - 9}-0` }],
    };
    expect(judgeKey(anAgent({}, { redis: other }), []).kind).toBe('current');
  });

  it('is behind, by how many and for how long, within the bound', () => {
    expect(judgeKey(anAgent({}), [anEvent(100), anEvent(500, 'tag')])).toEqual({
      kind: 'behind',
      behind: 2,
      sinceMs: 490,
      text: 'behind by 2, for 490 ms; its lease ends in 400 ms: within the bound of 1000 ms',
    });
  });

  it('is stale only beyond the bound, counted until memory was looked at, not until Redis answered', () => {
    expect(judgeKey(anAgent({}), [anEvent(1_005)]).kind).toBe('behind');
    expect(judgeKey(anAgent({}), [anEvent(1_020)])).toMatchObject({ kind: 'stale', sinceMs: 1_010 });
  });

  it('is silent where what is old is not answered', () => {
    expect(judgeKey(anAgent({ unansweredBecause: 'unproven' }), [anEvent(9_000)])).toMatchObject({
      kind: 'silent',
      behind: 1,
    });
  });

  it('finds in markers, and in what is stored, changes that the log has forgotten', () => {
    const redis = { clockUs: AT_MS * 1_000, askedMs: 0 };
    const marker = { ...redis, markers: [{ tag: 't', version: `${AT_MS - 5_000}-0` }] };
    expect(judgeKey(anAgent({}, { redis: marker }), []).kind).toBe('stale');
    const stored = { ...redis, markers: [], stored: { version: `${AT_MS - 5_000}-0` } };
    expect(judgeKey(anAgent({}, { redis: stored }), [])).toMatchObject({ kind: 'stale', behind: 1 });
  });

  it('counts one change once, whoever tells of it', () => {
    const version = `${AT_MS - 100}-0`;
    const redis = {
      clockUs: AT_MS * 1_000,
      askedMs: 0,
      markers: [{ tag: '', version }],
      stored: { version },
    };
    expect(judgeKey(anAgent({}, { redis }), [anEvent(100, 'namespace')]).behind).toBe(1);
  });

  it('is unknown where Redis is away and memory answers, and by TTL where no events are followed', () => {
    expect(judgeKey(anAgent({}, { redis: undefined }), []).kind).toBe('unknown');
    expect(judgeKey(anAgent({ unansweredBecause: 'unproven' }, { redis: undefined }), []).kind).toBe(
      'silent',
    );
    const freshness = { leaseMs: 0, maxStalenessMs: 1_000, current: false };
    expect(judgeKey(anAgent({}, { freshness }), [anEvent(9_000)]).kind).toBe('by-ttl');
  });

  it('of a fleet is the worst of its agents', () => {
    expect(worstOf(['current', 'behind', 'empty'])).toBe('behind');
    expect(worstOf(['current', 'stale', 'unknown'])).toBe('stale');
    expect(worstOf([])).toBe('empty');
  });
});
