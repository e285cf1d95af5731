import { expect, it, onTestFinished } from 'vitest';
import { fleetKeys } from '../../agent/l2/keys.ts';
import { until } from '../../hack/local/children.ts';
import { LocalAgent } from '../../hack/local/local-agent.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent } from '../support/cache.ts';
import { openUi } from '../support/ui-page.ts';

const MINUTE = 60_000;

async function setUp(file: Parameters<typeof startAgent>[0]['file'] = {}) {
  const redis = await RedisServer.start();
  onTestFinished(() => redis.stop());
  const shared = { redis: standalone(redis.port), ...file };
  const one = await startAgent({ file: { nodeId: 'node-a', region: 'us-east', ...shared } });
  onTestFinished(one.stop);
  const origin = new URL((await one.http('/healthz')).url).origin;
  return { redis, shared, one, origin };
}

it('the page shows the fleet, its hit ratios and namespaces, and an agent that was killed as gone', {
  timeout: 2 * MINUTE,
}, async () => {
  const { shared, one, origin } = await setUp();
  const other = await LocalAgent.start({
    nodeId: 'node-b',
    file: { region: 'eu-west', tier: 'global', ...shared },
  });
  onTestFinished(() => other.stop('SIGKILL'));
  const { page, complaints } = await openUi(origin);
  const rowOf = (node: string) => page.locator('#fleet-table tbody tr', { hasText: node });
  await until('both agents are ready', async () => {
    const states = await page.locator('#fleet-table tbody .state').allTextContents();
    return states.join() === 'ready,ready';
  });
  expect(await rowOf('node-a').textContent()).toContain('this agent');
  expect(await rowOf('node-b').textContent()).toContain('eu-west');

  await one.client.put('gpu_avail', 'gpu/1', { secret: 'never-shown' });
  await until('lookups are counted, and answered from memory', async () => {
    await one.client.get('gpu_avail', 'gpu/1');
    const row = page.locator('tr[data-namespace=gpu_avail]');
    return /(9\d|100)\.\d %/.test((await row.textContent()) ?? '');
  });
  await until('the hit ratio of the agent is told', async () => {
    await one.client.get('gpu_avail', 'gpu/1');
    return /\d\d\.\d %/.test((await rowOf('node-a').textContent()) ?? '');
  });
  expect(await page.locator('#ratio-chart svg[role=img]').getAttribute('aria-label')).toMatch(/L1 now \d+ %/);

  await other.stop('SIGKILL');
  await until(
    'the killed agent is shown as gone',
    async () => (await rowOf('node-b').locator('.state').textContent()) === 'gone',
    { timeoutMs: MINUTE },
  );
  // What it said when it lived is not shown as if it were so.
  expect(await rowOf('node-b').textContent()).not.toContain('0.0 ms');
  expect(await page.content()).not.toContain('never-shown');
  expect(complaints).toEqual([]);
});

it('a change made anywhere appears live, with what it names and never with what it says', async () => {
  const { shared, one, origin } = await setUp();
  const other = await startAgent({ file: { nodeId: 'node-b', ...shared } });
  onTestFinished(other.stop);
  await one.client.put('gpu_avail', 'gpu/before', { secret: 'never-shown' });
  const { page, complaints } = await openUi(origin);
  const rows = page.locator('#event-table tbody tr');
  await rows.filter({ hasText: 'gpu/before' }).waitFor();
  expect(await rows.filter({ hasText: 'gpu/before' }).locator('.op').textContent()).toBe('put');

  await other.client.invalidate('gpu_avail', { tags: ['region:us-east'], reason: 'a price moved' });
  const seen = rows.filter({ hasText: 'region:us-east' });
  await seen.waitFor();
  const text = (await seen.textContent()) ?? '';
  for (const part of ['invalidate', 'gpu_avail', 'a price moved', 'node-b', ' ms'])
    expect(text).toContain(part);
  // It came in every partition, and is one.
  expect(await seen.count()).toBe(1);

  await page.getByRole('button', { name: 'Pause' }).click();
  await other.client.put('gpu_avail', 'gpu/paused', 1);
  await until(
    'the event has been applied',
    async () => (await one.client.get('gpu_avail', 'gpu/paused')).status === 'hit',
  );
  await page.getByRole('button', { name: 'Go on' }).click();
  await rows.filter({ hasText: 'gpu/paused' }).waitFor();
  await page
    .getByRole('region', { name: 'Live events' })
    .getByRole('searchbox', { name: 'Filter' })
    .fill('moved');
  await until('the filter leaves one', async () => (await rows.count()) === 1);
  expect(await page.content()).not.toContain('never-shown');
  expect(complaints).toEqual([]);
});

it('the history of a key is shown, and goes on while one looks', async () => {
  const { one, origin } = await setUp();
  await one.client.put('gpu_avail', 'gpu/1', { secret: 'never-shown' }, { tags: ['region:us-east'] });
  const { page, complaints } = await openUi(origin);
  // From the event that told of it.
  await page.locator('#event-table').getByRole('button', { name: 'gpu/1' }).click();
  const history = page.locator('#key-table tbody tr');
  const effects = async () => (await history.locator('.op').allTextContents()).join(', ');
  await until('the put is shown', async () => (await effects()) === 'written');
  expect(await page.locator('#key-facts').textContent()).toContain('region:us-east');

  await one.client.invalidate('gpu_avail', { tags: ['region:us-east'], reason: 'it was booked' });
  await until(
    'the invalidation is shown, without asking again',
    async () => (await effects()) === 'invalidated by the tag region:us-east, written',
  );
  expect(await history.first().textContent()).toContain('it was booked');
  await until('memory has it no more', async () =>
    ((await page.locator('#key-facts .card').first().textContent()) ?? '').includes('Entrynone'),
  );
  expect(await page.content()).not.toContain('never-shown');
  expect(complaints).toEqual([]);
});

it('a key that is none is refused by the form and by the agent, each saying why', async () => {
  const { one, origin } = await setUp();
  const { page } = await openUi(origin);
  const problem = page.locator('#key-problem');
  await page.locator('#key-namespace option').first().waitFor({ state: 'attached' });
  await page.getByRole('button', { name: 'Look' }).click();
  expect(await problem.textContent()).toContain('Name a key');
  await page.getByRole('textbox', { name: 'Key' }).fill('ü'.repeat(257));
  expect(await problem.textContent()).toBe('');
  await page.keyboard.press('Enter');
  expect(await problem.textContent()).toContain('514 bytes; it must have at most 512');
  await page.getByRole('textbox', { name: 'Key' }).fill('never/there');
  await page.keyboard.press('Enter');
  await page.locator('#key-note', { hasText: '0 writes and 0 invalidations' }).waitFor();

  const ask = async (query: string) => {
    const response = await one.http(`/ui/api/key?${query}`);
    return `${response.status} ${await response.text()}`;
  };
  expect(await ask('namespace=gpu_avail')).toMatch(/^400 .*512 bytes/);
  expect(await ask(`namespace=gpu_avail&key=${'k'.repeat(513)}`)).toMatch(/^400 .*513 bytes/);
  expect(await ask('namespace=nowhere&key=k')).toMatch(/^404 .*gpu_avail/);
});

it('pages that look on are so many and no more, and end with the agent', async () => {
  const { shared } = await setUp();
  const other = await startAgent({ file: { nodeId: 'node-b', ...shared } });
  const streams = await Promise.all(Array.from({ length: 32 }, () => other.http('/ui/api/events')));
  expect(streams.every(({ status }) => status === 200)).toBe(true);
  const refused = await other.http('/ui/api/events');
  expect(refused.status).toBe(503);
  expect(await refused.text()).toContain('edgecache watch');
  expect(await (await other.http('/metrics')).text()).toContain('edgecache_ui_event_readers 32');
  const [first, ...others] = streams;
  await Promise.all(others.map(({ body }) => body?.cancel()));
  await until('those that left are struck off', async () =>
    /^edgecache_ui_event_readers 1$/m.test(await (await other.http('/metrics')).text()),
  );
  await other.stop();
  expect(await first?.text()).toContain('the agent stops');
});

it('a page whose agent is gone says so, and does not show what was as what is', async () => {
  const { shared, origin } = await setUp();
  const other = await startAgent({ file: { nodeId: 'node-b', ...shared } });
  const { page } = await openUi(new URL((await other.http('/healthz')).url).origin);
  await page.locator('#fleet-table tbody tr', { hasText: 'node-b' }).waitFor();
  await other.stop();
  await page.locator('#banner', { hasText: 'This agent does not answer' }).waitFor();
  expect(await page.locator('body').getAttribute('class')).toBe('old');
  // It ended in order: nobody misses it.
  const left: unknown = await (await fetch(`${origin}/ui/api/fleet`)).json();
  expect(JSON.stringify(left)).not.toContain('node-b');
});

it('without Redis the page shows this agent alone, and says why', async () => {
  const { redis, origin } = await setUp();
  const { page } = await openUi(origin);
  await page.locator('#fleet-table .state', { hasText: 'ready' }).waitFor();
  await redis.stop();
  await page.locator('#fleet-note', { hasText: 'Only this agent can be shown' }).waitFor();
  await page.locator('#fleet-table .state', { hasText: 'not ready' }).waitFor();
  expect(await page.locator('#banner').textContent()).toContain('Redis');
});

it('of a thousand agents the page shows the first, and finds any', async () => {
  const { redis, origin } = await setUp();
  const { summaries, seen } = fleetKeys('default');
  const [own = ''] = await until('the agent has told of itself', async () => {
    const values = await redis.admin.hvals(summaries);
    return values.length > 0 ? values : undefined;
  });
  const ids = Array.from({ length: 1_000 }, (_, i) => `node-${String(i).padStart(4, '0')}`);
  const texts = ids.map(
    (id) => [id, JSON.stringify({ ...JSON.parse(own), node: id, region: 'eu-west' })] as const,
  );
  const [seconds] = await redis.admin.time();
  await redis.admin.hset(summaries, Object.fromEntries(texts));
  await redis.admin.zadd(seen, ...ids.flatMap((id) => [Number(seconds) * 1000, id]));
  const { page, complaints } = await openUi(origin);
  await page.locator('#fleet-note', { hasText: /The first 200 of 100[01];/ }).waitFor();
  expect(await page.locator('#fleet-table tbody tr').count()).toBe(200);
  await page.getByRole('region', { name: 'Fleet' }).getByRole('searchbox').fill('node-0789');
  await page.getByRole('rowheader', { name: 'node-0789' }).waitFor();
  expect(await page.locator('#fleet-table tbody tr').count()).toBe(1);
  expect(complaints).toEqual([]);
});

it('the page can be used by keyboard, read by a screen reader, and on a phone', async () => {
  const { origin } = await setUp();
  const { page, complaints } = await openUi(origin);
  await page.locator('#fleet-table tbody tr').first().waitFor();
  const fleet = page.getByRole('region', { name: 'Fleet', exact: true });
  await page.keyboard.press('Tab');
  expect(await page.evaluate('document.activeElement.textContent')).toBe('To the fleet');
  for (const name of ['Fleet', 'Hit ratios', 'Namespaces', 'Live events', 'One key']) {
    await page.getByRole('link', { name, exact: true }).waitFor();
    await page.getByRole('region', { name, exact: true }).waitFor();
  }
  await fleet.getByRole('searchbox', { name: 'Filter' }).fill('nowhere');
  await until(
    'the filter leaves nothing',
    async () => (await page.locator('#fleet-table tbody tr').count()) === 0,
  );
  await fleet.getByRole('searchbox', { name: 'Filter' }).fill('us-east edge');
  await page.getByRole('rowheader', { name: 'node-a' }).waitFor();
  await page.setViewportSize({ width: 380, height: 800 });
  // Tables scroll within themselves, the page does not.
  expect(await page.evaluate('document.documentElement.scrollWidth <= window.innerWidth')).toBe(true);
  expect(complaints).toEqual([]);
});

it('pages of other names cannot read the data, and nothing can be changed', async () => {
  const { one, origin } = await setUp();
  const { hostname, port } = new URL(origin);
  const { request } = await import('node:http');
  const status = await new Promise((resolve, reject) => {
    const headers = { host: 'evil.example.com' };
    request({ hostname, port, path: '/ui/api/fleet', headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
  expect(status).toBe(421);
  expect((await one.http('/ui/api/fleet', { method: 'POST' })).status).toBe(405);
  expect((await one.http('/ui/api/nothing')).status).toBe(404);
  expect((await one.http('/ui/app.ts')).status).toBe(404);
  // No URL: it once ended the process.
  expect((await fetch(`${origin}//`)).status).toBe(400);
  const page = await one.http('/ui/');
  expect(page.headers.get('content-security-policy')).toContain("default-src 'self'");
  const tag = page.headers.get('etag') ?? '';
  expect((await one.http('/ui/', { headers: { 'if-none-match': tag } })).status).toBe(304);
});

it('the page can be switched off', async () => {
  const { one } = await setUp({ ui: { enabled: false } });
  for (const path of ['/ui', '/ui/', '/ui/api/fleet']) {
    const response = await one.http(path);
    expect(response.status).toBe(404);
    expect(await response.text()).toContain('CACHE_ENABLE_UI');
  }
});

it('where callers must say who they are, the page wants a token, and shows what its rules allow', async () => {
  const token = 'a-token-of-the-operators';
  const { redis, shared } = await setUp();
  const guarded = await startAgent({
    file: {
      ...shared,
      nodeId: 'guarded',
      security: {
        auth: { required: true },
        accessRules: [
          { identities: ['token:ops'], namespaces: ['*'], allow: ['read', 'write', 'admin'] },
          { identities: ['token:shop'], namespaces: ['gpu_avail'], allow: ['read'] },
        ],
      },
    },
    env: { CACHE_AUTH_TOKEN: `ops=${token},shop=a-token-of-the-shop-x` },
    client: { token },
  });
  onTestFinished(guarded.stop);
  expect(redis.running).toBe(true);
  const statusFor = async (path: string, bearer?: string) => {
    const headers = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
    const response = await guarded.http(`/ui/api/${path}`, { headers });
    await response.body?.cancel();
    return response.status;
  };
  const paths = [
    'fleet',
    'agent',
    'events',
    'key?namespace=gpu_avail&key=k',
    'key?namespace=gpu_pricing&key=k',
  ];
  const statuses = (bearer?: string) => Promise.all(paths.map((path) => statusFor(path, bearer)));
  expect(await statuses()).toEqual([401, 401, 401, 401, 401]);
  expect(await statuses('a-token-of-nobody-x')).toEqual([401, 401, 401, 401, 401]);
  expect(await statuses('a-token-of-the-shop-x')).toEqual([403, 403, 403, 200, 403]);
  expect(await statuses(token)).toEqual([200, 200, 200, 200, 200]);

  const { page } = await openUi(new URL((await guarded.http('/healthz')).url).origin);
  await page.getByLabel('Token').fill('a-token-of-nobody-x');
  await page.keyboard.press('Enter');
  await page.getByLabel('Token').fill(token);
  await page.keyboard.press('Enter');
  await page.getByRole('rowheader', { name: 'guarded' }).waitFor();
  await guarded.client.put('gpu_avail', 'gpu/1', 1);
  await page.locator('#event-table tbody tr', { hasText: 'gpu/1' }).waitFor();
  expect(await page.content()).not.toContain(token);
});
