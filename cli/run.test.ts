import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeAgent, failure } from '../client/testing/fake-agent.ts';
import { until } from '../hack/local/children.ts';
import {
  type DeepPartial,
  ExplainResponse,
  GetResponse,
  StatsResponse,
} from '../proto/gen/edgecache/v1/edgecache.ts';
import { type Ran, runCli, type Setting } from './testing/run-cli.ts';

let agent: FakeAgent;
beforeEach(async () => {
  agent = await FakeAgent.start({ streams: true });
});
afterEach(() => agent.stop());

const statsOf = (stats: DeepPartial<StatsResponse>) => () => StatsResponse.create(stats);
const answerOf = (answer: DeepPartial<GetResponse>) => () => GetResponse.create(answer);

function edgecache(args: readonly string[], setting: Setting = {}): Promise<Ran> {
  return runCli(args, { ...setting, env: { EDGECACHE_ADDRESS: agent.address, ...setting.env } });
}

describe('edgecache', () => {
  it('says what it can, and what of each command', async () => {
    const all = await edgecache(['--help']);
    expect(all.code).toBe(0);
    for (const name of [
      'get',
      'put',
      'invalidate',
      'publish',
      'watch',
      'stats',
      'health',
      'top',
      'tiers',
      'doctor',
      'bench',
      'completion',
    ]) {
      expect(all.out).toContain(`  ${name}`);
      const one = await edgecache([name, '--help']);
      expect(one).toMatchObject({ code: 0, err: '' });
      expect(one.out).toContain(`Usage: edgecache ${name}`);
      expect(one.out).toContain('Examples:');
    }
    expect((await edgecache([])).code).toBe(2);
    expect((await edgecache(['--version'])).out).toBe('1.2.3\n');
  });

  it.each([
    [['gte', 'a', 'b'], 'no such command; did you mean "edgecache get"?'],
    [['frobnicate'], 'no such command; see "edgecache --help"'],
    [['get', 'ns'], '1 words given, expected: edgecache get NAMESPACE KEY'],
    [['get', 'ns', 'k', '--colour'], "Unknown option '--colour'"],
    [['put', 'ns', 'k', 'free'], 'the value is no JSON'],
    [['put', 'ns', 'k', '1', '--ttl', '5'], '--ttl: "5" is no duration; write it as 500ms'],
    [['invalidate', 'ns'], 'needs --key or --tag'],
    [['invalidate', 'ns', '--all', '--key', 'k'], 'needs --key or --tag'],
    [['publish', 'booking_created', '--data', '[1]'], '--data: "[1]" must be a JSON object'],
    [['stats', '--address', 'nowhere'], '--address: "nowhere" must be HOST:PORT'],
    [['doctor', 'ns'], 'a namespace needs a key'],
    [['doctor', '--key', 'k'], '--key needs a namespace'],
    [['doctor', 'ns', 'k', '--key', 'k'], 'the key is given twice'],
    [['doctor', 'ns', 'k', '--events', '20001'], '--events: "20001" must be a whole number from 0 to 20000'],
    [['top', '--count', '0'], '--count: "0" must be a whole number above 0'],
    [['completion', 'tcsh'], '"tcsh" must be bash, zsh, fish'],
  ])('refuses %j with exit code 2, and says why', async (args, why) => {
    const { code, err, out } = await edgecache(args);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain(why);
    expect(agent.received).toEqual([]);
  });
});

describe('entries', () => {
  it('are written, read, invalidated and missed', async () => {
    const put = await edgecache([
      'put',
      'ns',
      'k',
      '{"free":true}',
      '--ttl',
      '5m',
      '--tag',
      'a',
      '--tag',
      'b',
    ]);
    expect(put).toMatchObject({ code: 0, err: '' });
    expect(put.out).toMatch(/^applied version \S+, event \S+, token \S+\n$/);
    expect(agent.calls('put')).toMatchObject([{ ttlMs: 300_000, tags: ['a', 'b'] }]);
    const got = await edgecache(['get', 'ns', 'k']);
    expect(got).toMatchObject({ code: 0, out: '{"free":true}' });
    expect(got.err).toMatch(/version \S+, 30s left, from l\d of fake/);
    expect((await edgecache(['invalidate', 'ns', '--key', 'k', '--reason', 'test'])).code).toBe(0);
    expect(agent.calls('invalidate')).toMatchObject([{ keys: ['k'], reason: 'test' }]);
    expect(await edgecache(['get', 'ns', 'unheard'])).toMatchObject({ code: 4, out: '' });
  });

  it('are JSON for programs', async () => {
    await edgecache(['put', 'ns', 'k', '-'], { stdin: '[1,2]' });
    const { out } = await edgecache(['get', 'ns', 'k', '--json']);
    expect(JSON.parse(out)).toMatchObject({ status: 'hit', value: [1, 2], node: 'fake' });
    await edgecache(['put', 'ns', 'raw', 'no json', '--raw', '--json']);
    expect(agent.stored('ns', 'raw')).toBe('no json');
  });

  it('that the agent cannot tell of have an exit code of their own', async () => {
    agent.next('get', answerOf({ degraded: true }));
    expect(await edgecache(['get', 'ns', 'k'])).toMatchObject({ code: 5, out: '' });
  });

  it('fail with the agent’s own words', async () => {
    agent.next('get', () =>
      Promise.reject(failure(5, 'there is no namespace ns; there are: a, b', 'EC_UNKNOWN_NAMESPACE')),
    );
    const { code, err } = await edgecache(['get', 'ns', 'k']);
    expect([code, err]).toEqual([1, 'edgecache get: there is no namespace ns; there are: a, b\n']);
  });
});

describe('a fleet', () => {
  it('is told agent by agent, those that do not answer too', async () => {
    const both = ['--address', `${agent.address},127.0.0.1:1`, '--timeout', '500ms'];
    agent.next(
      'stats',
      statsOf({
        nodeId: 'n1',
        status: 'healthy',
        redis: { connected: true, pubsubActive: true },
      }),
    );
    const health = await edgecache(['health', ...both]);
    expect(health.code).toBe(1);
    expect(health.out).toMatch(/healthy/);
    expect(health.out).toMatch(/127\.0\.0\.1:1\s+unreachable/);
    agent.next(
      'stats',
      statsOf({
        nodeId: 'n1',
        l1: { hits: 90, misses: 10, hitRatio: 0.9 },
        l2: { hits: 5, misses: 5 },
      }),
    );
    const { out } = await edgecache(['stats']);
    expect(out).toMatch(/AGENT\s+NODE/);
    expect(out).toMatch(/n1.*90\.0 %\s+95\.0 %/);
  });

  it('is followed live: rates between two looks', async () => {
    const look = (hits: number) => statsOf({ status: 'healthy', uptimeMs: hits, l1: { hits, misses: 0 } });
    agent.next('stats', look(1_000), look(3_000));
    const { code, out } = await edgecache(['top', '--count', '2', '--every', '50ms', '--json']);
    const [first, second] = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(code).toBe(0);
    expect(first.lookups).toBe(0);
    // 2,000 in little more than 50 ms.
    expect(second.lookups).toBeGreaterThan(2_000);
    expect(second.lookups).toBeLessThan(2_000 / 0.05);
    expect(second.l1Hits).toBe(1);
  });

  it('is followed live: hottest and largest keys, why memory did not answer, what another size would do', async () => {
    const look = (evicted: number) =>
      statsOf({
        status: 'healthy',
        uptimeMs: evicted,
        namespaces: [
          {
            name: 'ns',
            l1Misses: [
              { cause: 'evicted', count: evicted },
              { cause: 'cold', count: 10 },
            ],
          },
        ],
        analytics: {
          hottest: [{ namespace: 'ns', key: 'hot', perSecond: 1_234 }],
          largest: [{ namespace: 'ns', key: 'large', bytes: 5_000_000 }],
          churn: [{ eventType: 'pricing_updated', events: 5, dropped: 3 }],
          whatIf: [0.5, 1, 2, 4].map((factor) => ({ factor, l1HitRatio: factor / 5 })),
        },
      });
    agent.next('stats', look(100), look(190));
    const { code, out } = await edgecache(['top', '--count', '2', '--every', '50ms']);
    expect(code).toBe(0);
    const [, second = ''] = out.split('AGENT').slice(1);
    // The ten cold ones were before the first look.
    expect(second).toMatch(/NOT IN MEMORY BECAUSE\s+evicted\s+100\.0 %\n\s*\n/);
    expect(second).toMatch(
      /L1 HITS WITH\s+0\.5 × SIZE\s+1 × SIZE\s+2 × SIZE\s+4 × SIZE\n.*10\.0 %\s+20\.0 %\s+40\.0 %\s+80\.0 %/,
    );
    expect(second).toMatch(/HOTTEST KEYS\s+LOOKUPS\/S\nns hot\s+1\.2/);
    expect(second).toMatch(/LARGEST KEYS\s+BYTES\nns large\s+5\.0/);
    expect(second).toMatch(/CHANGES\s+ENTRIES DROPPED\npricing_updated\s+3/);
    expect(agent.received.at(-1)).toMatchObject({ method: 'stats' });
  });

  it('is examined: evidence, cause and remedy of what is wrong', async () => {
    agent.next(
      'stats',
      statsOf({
        audit: { reads: 1_000, violations: 2 },
        redis: { connected: true, pubsubActive: true, memoryUsedMb: 97, memoryMaxMb: 100 },
        l1: { hits: 400, misses: 1_600, hitRatio: 0.2, entries: 500, maxEntries: 500, evictions: 9 },
      }),
    );
    const { code, out } = await edgecache(['doctor']);
    expect(code).toBe(1);
    expect(out).toContain('2 of 1000 answers from memory that were checked later were older');
    expect(out).toContain('Redis uses 97.0 % of its maxmemory');
    expect(out).toContain('remedy: raise l1.maxEntries in the tier');
    agent.next('stats', statsOf({ redis: { connected: true, pubsubActive: true, memoryMaxMb: 100 } }));
    const well = await edgecache(['doctor']);
    expect(well.code).toBe(0);
    expect(well.out.match(/nothing found/g)?.length).toBe(3);
  });

  it('is asked for one key: an agent that does not answer is part of the answer, and fails it', async () => {
    const explained = ExplainResponse.create({
      agentId: 'fake-1',
      freshness: { leaseMs: 700, maxStalenessMs: 1_000, current: true },
      redis: { agents: 2, agentIds: ['fake-1', 'other-1'] },
    });
    agent.next(
      'explain',
      () => explained,
      () => explained,
    );
    const both = ['--address', `${agent.address},127.0.0.1:1`, '--timeout', '500ms'];
    const { code, out, err } = await edgecache(['doctor', 'ns', '--key', 'k', ...both]);
    expect(code).toBe(1);
    expect(out).toMatch(/holds nothing: asks Redis/);
    expect(out).toContain('not asked, though they may hold entries of the partition: other-1');
    expect(err).toContain('127.0.0.1:1 could not be asked');
    expect(agent.calls('explain')).toMatchObject([
      { namespace: 'ns', key: 'k', logEvents: 0, wantAgents: false },
      { logEvents: 2_000, wantAgents: true },
    ]);
  });
});

describe('colours', () => {
  const isColored = async (setting: Setting, ...more: string[]) =>
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control sequences
    /\u001b\[/.test((await edgecache(['health', ...more], setting)).out);

  it('are for terminals, unless somebody says otherwise', async () => {
    expect(await isColored({ isTerminal: true })).toBe(true);
    expect(await isColored({ isTerminal: false })).toBe(false);
    expect(await isColored({ isTerminal: true, env: { NO_COLOR: '1' } })).toBe(false);
    // An empty one is none: https://no-color.org
    expect(await isColored({ isTerminal: true, env: { NO_COLOR: '' } })).toBe(true);
    expect(await isColored({ isTerminal: false, env: { FORCE_COLOR: '1' } })).toBe(true);
    expect(await isColored({ isTerminal: true, env: { FORCE_COLOR: '0' } })).toBe(false);
    expect(await isColored({ isTerminal: false, env: { FORCE_COLOR: '1' } }, '--no-color')).toBe(false);
  });

  it('are never in JSON', async () => {
    expect(await isColored({ isTerminal: true, env: { FORCE_COLOR: '1' } }, '--json')).toBe(false);
  });
});

describe('without an agent', () => {
  const nobody = ['--address', '127.0.0.1:1', '--timeout', '300ms'];

  it.each([['get', 'ns', 'k'], ['watch'], ['bench', 'ns']])(
    '%s says where it looked, and how to name another',
    async (...args) => {
      const { code, err } = await edgecache([...args, ...nobody]);
      expect(code).toBe(1);
      expect(err).toContain(`edgecache ${args[0]}: no agent answers (127.0.0.1:1)`);
      expect(err).toContain('Name agents with --address or EDGECACHE_ADDRESS');
      expect(err).toContain('agents that speak TLS answer to --tls or --ca alone');
    },
  );

  it('the doctor does not say that all is well', async () => {
    const { code, out } = await edgecache(['doctor', ...nobody]);
    expect(code).toBe(1);
    expect(out).toContain('stale data: cannot tell');
    expect(out).not.toContain('nothing found');
  });
});

it('ends a live command on Ctrl-C with its exit code', async () => {
  const interrupt = new AbortController();
  let seen = '';
  const ran = edgecache(['top', '--every', '20ms'], {
    signal: interrupt.signal,
    printed: (out) => {
      seen = out;
    },
  });
  await until('it has looked', () => seen.includes('AGENT'));
  interrupt.abort();
  expect((await ran).code).toBe(130);
});
