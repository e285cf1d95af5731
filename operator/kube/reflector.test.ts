import fc from 'fast-check';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../testing/eventually.ts';
import { FakeApiServer } from '../testing/fake-api-server.ts';
import { Reflector, type ReflectorTiming } from './reflector.ts';
import { CONFIG_MAPS } from './resources.ts';

const TIMING: ReflectorTiming = {
  silenceMs: 10_000,
  backoffBaseMs: 10,
  backoffMaxMs: 50,
  healthyMs: 60_000,
  pageSize: 3,
};

describe('a reflector', () => {
  let server: FakeApiServer;
  let stop: AbortController;
  let running: Promise<void>;

  beforeEach(async () => {
    server = await new FakeApiServer().listen();
    stop = new AbortController();
  });
  afterEach(async () => {
    stop.abort();
    await running;
    await server[Symbol.asyncDispose]();
  });

  function start(timing: Partial<ReflectorTiming> = {}) {
    const changes: string[] = [];
    const reflector = new Reflector({
      client: server.client(),
      resource: CONFIG_MAPS,
      logger: pino({ level: 'silent' }),
      timing: { ...TIMING, ...timing },
      onChange: (key, now, before) => changes.push(`${now ? (before ? 'changed' : 'added') : 'gone'} ${key}`),
    });
    running = reflector.run(stop.signal);
    return { reflector, changes };
  }

  const namesOf = (reflector: Reflector) =>
    [...reflector.values()].map((object) => object.metadata.name).sort();
  const toAgree = (reflector: Reflector) =>
    eventually('the copy to agree with the server', () => {
      const versions = [...reflector.values()]
        .map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`)
        .sort();
      const wanted = server.names().map((name) => `${name} ${server.versionOf(name)}`);
      if (versions.join() !== wanted.join()) throw new Error(`${versions} is not ${wanted}`);
      return true;
    });
  const watching = () => eventually('a watch', () => server.watcherCount > 0);

  test('lists in pages, then follows what changes', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) server.put(name);
    const { reflector, changes } = start();
    await reflector.synced;
    expect(namesOf(reflector)).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g']);
    expect(server.requests.filter((r) => r.kind === 'list')).toHaveLength(3);
    await watching();
    server.put('a');
    server.put('h');
    server.delete('b');
    await toAgree(reflector);
    expect(changes.slice(7)).toEqual(['changed default/a', 'added default/h', 'gone default/b']);
  });

  test('asks for bookmarks, and goes on from the last one without a list', async () => {
    const { reflector } = start();
    await watching();
    expect(server.requests.at(-1)?.query.get('allowWatchBookmarks')).toBe('true');
    server.put('a');
    await toAgree(reflector);
    server.bookmark();
    server.compact();
    await eventually('the bookmark to be heard', () => reflector.resourceVersion === server.version);
    server.cutWatches();
    server.put('b');
    await toAgree(reflector);
    expect(reflector.relists).toBe(1);
  });

  test('lists anew when the history is gone, and notices what was deleted meanwhile', async () => {
    server.put('a');
    server.put('b');
    const { reflector, changes } = start();
    await watching();
    server.misbehave('watch', { kind: 'error-event', code: 410 });
    server.cutWatches();
    server.delete('a');
    server.compact();
    await toAgree(reflector);
    await eventually('a list', () => reflector.relists === 2);
    expect(changes).toContain('gone default/a');
    expect(changes.filter((change) => change.endsWith('/b'))).toEqual(['added default/b']);
  });

  test.each([
    ['a 500', { kind: 'status', status: 500 }],
    ['a 403', { kind: 'status', status: 403 }],
    ['a watch cut in the middle of a line', { kind: 'cut' }],
    ['an error within a watch', { kind: 'error-event', code: 500 }],
  ] as const)('goes on after %s', async (_what, how) => {
    server.misbehave('watch', how, how, how);
    const { reflector } = start();
    server.put('a');
    await toAgree(reflector);
    await watching();
    server.put('b');
    await toAgree(reflector);
  });

  test('goes on when lists fail, and is synced only when one has succeeded', async () => {
    server.put('a');
    server.misbehave('list', { kind: 'status', status: 503 }, { kind: 'status', status: 410 });
    const { reflector } = start();
    expect(reflector.hasSynced).toBe(false);
    await reflector.synced;
    await toAgree(reflector);
  });

  test('waits as long as the server asks', async () => {
    server.misbehave('list', { kind: 'status', status: 429, retryAfterSeconds: 1 });
    const { reflector } = start();
    await reflector.synced;
    const [first, second] = server.requests;
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThan(950);
  });

  test('gives up a watch that has gone silent', async () => {
    server.misbehave('watch', { kind: 'silence' });
    const { reflector } = start({ silenceMs: 100 });
    await watching();
    server.put('a');
    await toAgree(reflector);
    expect(server.requests.filter((r) => r.kind === 'watch').length).toBeGreaterThan(1);
  });

  test('takes an event that is said twice as one', async () => {
    const { reflector, changes } = start();
    await watching();
    server.put('a');
    await toAgree(reflector);
    server.repeatLast();
    server.put('b');
    await toAgree(reflector);
    expect(changes).toEqual(['added default/a', 'added default/b']);
  });

  test('says nothing any more when it has been stopped', async () => {
    const { reflector, changes } = start();
    await watching();
    stop.abort();
    await running;
    server.put('late');
    expect(changes).toEqual([]);
    expect(reflector.size).toBe(0);
  });

  test('has what the server has in the end, whatever happens on the way', async () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd');
    const acts: Record<string, (name: string, reflector: Reflector) => unknown> = {
      put: (n) => server.put(n),
      delete: (n) => server.delete(n),
      cut: () => server.cutWatches(),
      compact: () => server.compact(),
      repeat: () => server.repeatLast(),
      bookmark: () => server.bookmark(),
      wait: (_n, reflector) => toAgree(reflector),
      fail: () => server.misbehave('watch', { kind: 'status', status: 500 }),
      expire: () => server.misbehave('watch', { kind: 'error-event', code: 410 }),
    };
    const often = fc.constantFrom('put', 'delete');
    const step = fc.tuple(fc.oneof(often, fc.constantFrom(...Object.keys(acts))), name);
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const { reflector } = start({ backoffBaseMs: 1, backoffMaxMs: 4 });
        await reflector.synced;
        for (const [act, target] of steps) await acts[act]?.(target, reflector);
        await toAgree(reflector);
        stop.abort();
        await running;
        stop = new AbortController();
      }),
      { numRuns: 40 },
    );
  }, 60_000);
});
