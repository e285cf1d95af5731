import { Writable } from 'node:stream';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { type AccessLogSettings, accessLogSchema } from '../../api/access-log.ts';
import { type Access, AccessLog } from './access-log.ts';
import { itemsOf, touchedBy } from './touched.ts';

function aLog(settings: Partial<AccessLogSettings> = {}, random = () => 0.5) {
  const lines: Record<string, unknown>[] = [];
  const sink = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      lines.push(JSON.parse(chunk.toString()));
      done();
    },
  });
  let time = 0;
  const log = new AccessLog({
    settings: accessLogSchema.parse(settings),
    log: pino({ level: 'error', base: null, timestamp: false }, sink),
    now: () => time,
    random,
  });
  return { log, lines, pass: (ms: number) => (time += ms) };
}

function access(more: Partial<Access> = {}): Access {
  return {
    method: 'Get',
    identity: 'token:ci',
    peer: '10.0.0.1:5000',
    outcome: 'OK',
    ms: 1.23456,
    touched: () => ({ namespaces: ['ns'], keys: ['k'] }),
    ...more,
  };
}

it('says who did what with which keys, when and with which outcome', () => {
  const { log, lines } = aLog({ sampleRate: 1 });
  log.note(access());
  expect(lines).toEqual([
    {
      level: 30,
      log: 'access',
      method: 'Get',
      identity: 'token:ci',
      peer: '10.0.0.1:5000',
      outcome: 'OK',
      ms: 1.235,
      namespaces: ['ns'],
      keys: ['k'],
      msg: 'access',
    },
  ]);
});

it('draws lookups, and writes all changes and refusals unless it is told otherwise', () => {
  const { log, lines } = aLog({ sampleRate: 0.5 }, () => 0.5);
  log.note(access());
  log.note(access({ method: 'Put' }));
  log.note(access({ outcome: 'EC_RATE_LIMITED' }));
  expect(lines.map(({ method, outcome }) => [method, outcome])).toEqual([
    ['Put', 'OK'],
    ['Get', 'EC_RATE_LIMITED'],
  ]);
  const quiet = aLog({ sampleRate: 0.6, changeSampleRate: 0, refusalSampleRate: 0 }, () => 0.5);
  quiet.log.note(access());
  quiet.log.note(access({ method: 'Put' }));
  quiet.log.note(access({ outcome: 'EC_RATE_LIMITED' }));
  expect(quiet.lines).toMatchObject([{ method: 'Get', sampleRate: 0.6 }]);
});

it('writes no more than so many lines in a second, and counts what it drops', () => {
  const { log, lines, pass } = aLog({ sampleRate: 1, maxPerSecond: 3 });
  for (let i = 0; i < 10; i++) log.note(access());
  expect([lines.length, log.dropped]).toEqual([3, 7]);
  pass(1000);
  log.note(access());
  expect([lines.length, log.written]).toEqual([4, 4]);
});

it('names a few keys and counts the rest, and cuts what is too long to be a name', () => {
  const { log, lines } = aLog({ sampleRate: 1 });
  const keys = Array.from({ length: 15 }, (_, i) => `k${i}`);
  log.note(access({ touched: () => ({ namespaces: ['ns', 'ns'], keys, tags: ['x'.repeat(5000)] }) }));
  expect(lines).toMatchObject([{ namespaces: ['ns'], keys: keys.slice(0, 10), moreKeys: 5 }]);
  expect(JSON.stringify(lines).length).toBeLessThan(1_000);
});

it('never sees a value, a reason or what an event says', () => {
  const secret = Buffer.from('hush');
  const event = {
    affectedNamespaces: ['other'],
    keys: ['e'],
    tags: ['t'],
    dataJson: 'hush',
    resourceId: 'hush',
  };
  const request = { namespace: 'ns', key: 'k', value: secret, tags: ['u'], reason: 'hush', event };
  const touched = touchedBy(request);
  expect(touched).toEqual({ namespaces: ['ns', 'other'], keys: ['k', 'e'], tags: ['u', 't'] });
});

it('counts what a request costs', () => {
  const item = { namespace: 'ns', key: 'k' };
  expect(itemsOf({ namespace: 'ns', key: 'k', tags: ['a', 'b'] })).toBe(1);
  expect(itemsOf({ id: 1, items: [item, item, item] })).toBe(3);
  expect(itemsOf({ id: 1, items: [] })).toBe(1);
  expect(itemsOf({ namespace: 'ns', keys: ['a', 'b'], tags: ['c'] })).toBe(3);
  expect(itemsOf({ event: { affectedNamespaces: ['ns'], keys: ['a'], tags: ['b'] } })).toBe(2);
  expect(itemsOf({})).toBe(1);
});
