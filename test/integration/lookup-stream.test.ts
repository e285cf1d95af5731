import { Client, type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import { describe, expect, it, onTestFinished } from 'vitest';
import { until } from '../../hack/local/children.ts';
import { LocalAgent } from '../../hack/local/local-agent.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import {
  type BatchGetRequest,
  type BatchGetResponse,
  EdgeCacheService,
} from '../../proto/gen/edgecache/v1/edgecache.ts';
import { standalone, startAgent, type TestAgentOptions } from '../support/cache.ts';
import { METHODS, RawClient } from '../support/raw-client.ts';

type Stream = ClientDuplexStream<BatchGetRequest, BatchGetResponse>;

async function redisServer() {
  const redis = await RedisServer.start();
  onTestFinished(() => redis.stop());
  return redis;
}

async function agent(options: TestAgentOptions) {
  const one = await startAgent(options);
  onTestFinished(() => one.stop());
  return one;
}

function open(address: string): { stream: Stream; answers: BatchGetResponse[]; ended: () => boolean } {
  // A connection of its own: streams that share one share its flow control as well.
  const client = new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  const { path, requestSerialize, responseDeserialize } = EdgeCacheService.lookup;
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  const answers: BatchGetResponse[] = [];
  let ended = false;
  stream.on('error', () => {
    ended = true;
  });
  stream.on('end', () => {
    ended = true;
  });
  onTestFinished(() => {
    stream.cancel();
    client.close();
  });
  return { stream, answers, ended: () => ended };
}

function listen(opened: ReturnType<typeof open>): void {
  opened.stream.on('data', (answer) => opened.answers.push(answer));
}

const item = (key: string, more: Partial<BatchGetRequest['items'][0]> = {}) => ({
  namespace: 'gpu_avail',
  key,
  minToken: '',
  wantLease: false,
  ...more,
});

const batch = (id: number, keys: string[], more: Partial<BatchGetRequest> = {}): BatchGetRequest => ({
  id,
  items: keys.map((key) => item(key)),
  split: false,
  wantTags: false,
  refreshBelowMs: 0,
  traces: undefined,
  ...more,
});

describe('a Lookup stream', () => {
  it('answers as Get does: hits, misses with leases, absences, tokens, tags, refusals', async () => {
    const redis = await redisServer();
    const one = await agent({ file: { redis: standalone(redis.port) } });
    const other = await agent({ file: { redis: standalone(redis.port) } });
    const { token } = await other.client.put('gpu_avail', 'k', 'value', { tags: ['t:1'] });
    const raw = new RawClient(one.address);
    onTestFinished(() => raw.close());
    const lease = await raw.call(METHODS.get, item('none', { wantLease: true }));
    await raw.call(METHODS.fill, {
      namespace: 'gpu_avail',
      key: 'none',
      value: Buffer.alloc(0),
      ttlMs: 0,
      tags: [],
      leaseToken: lease.leaseToken,
      absent: true,
    });
    const opened = open(one.address);
    listen(opened);
    const items = [
      item('k', { minToken: token }),
      item('none'),
      item('cold', { wantLease: true }),
      item('cold2'),
      item('', {}),
      item('k', { namespace: 'unheard_of' }),
      item('k', { minToken: 'made up' }),
    ];
    opened.stream.write({ id: 7, items, split: false, wantTags: true, refreshBelowMs: 0, traces: undefined });
    await until('an answer', () => opened.answers.length === 1);
    const [answer] = opened.answers;
    expect(answer?.id).toBe(7);
    expect(answer?.items).toMatchObject([
      { found: true, tags: ['t:1'], refusal: undefined },
      { found: true, absent: true },
      { found: false, leaseToken: expect.stringMatching(/.{8}/) },
      { found: false, leaseToken: '' },
      { refusal: { status: 3, code: 'EC_INVALID_REQUEST' } },
      { refusal: { status: 5, code: 'EC_UNKNOWN_NAMESPACE' } },
      { refusal: { status: 3, code: 'EC_INVALID_REQUEST' } },
    ]);
    expect(JSON.parse(String(answer?.items[0]?.value))).toBe('value');
  });

  it('is degraded where Redis is away, and answers memory’s part at once where that may be split', async () => {
    const redis = await redisServer();
    const one = await agent({
      file: {
        redis: { ...standalone(redis.port), commandTimeoutMs: 1_500 },
        maxStalenessMs: 10_000,
      },
    });
    await one.client.put('market_stats', 'k', 1);
    const opened = open(one.address);
    listen(opened);
    process.kill(redis.pid, 'SIGSTOP');
    const items = ['cold', 'k', 'cold2'].map((key) => item(key, { namespace: 'market_stats' }));
    opened.stream.write({ id: 1, items, split: true, wantTags: false, refreshBelowMs: 0, traces: undefined });
    await until('memory answers', () => opened.answers.length === 1, { timeoutMs: 1_000 });
    expect(opened.answers[0]).toMatchObject({ id: 1, places: [1], items: [{ found: true, source: 1 }] });
    await until('the rest', () => opened.answers.length === 2);
    expect(opened.answers[1]).toMatchObject({
      id: 1,
      places: [0, 2],
      items: [{ degraded: true }, { degraded: true }],
    });
    process.kill(redis.pid, 'SIGCONT');
  });

  it('that is not read holds little of the agent’s memory, and others are answered meanwhile', async () => {
    const redis = await redisServer();
    const process = await LocalAgent.start({ nodeId: 'n', file: { redis: standalone(redis.port) } });
    onTestFinished(() => process.stop('SIGKILL'));
    const raw = new RawClient(process.address);
    onTestFinished(() => raw.close());
    const value = Buffer.alloc(100_000, 'x');
    const put = { ttlMs: 0, tags: [], ifVersion: '', event: undefined, confirm: undefined };
    await raw.call(METHODS.put, { ...put, namespace: 'gpu_avail', key: 'big', value });
    await raw.call(METHODS.get, item('big'));
    const before = await memoryOf(process);
    const deaf = Array.from({ length: 4 }, () => open(process.address));
    const keys = Array.from({ length: 8 }, () => 'big');
    // 4 streams × 150 batches × 800 kB: 480 MB, if it were answered. A reader that listens to nothing is paused.
    let written = 0;
    for (const { stream } of deaf) {
      stream.pause();
      for (let id = 0; id < 150; id++) {
        stream.write(batch(id, keys));
        written += 1;
      }
    }
    expect(written).toBe(600);
    const modest = open(process.address);
    listen(modest);
    for (let id = 0; id < 100; id++) modest.stream.write(batch(id, ['big']));
    await until('the modest one is answered', () => modest.answers.length === 100, { timeoutMs: 30_000 });
    const grown = (await memoryOf(process)) - before;
    expect(grown).toBeLessThan(120 * 1024 ** 2);
    // Read at last, it is answered to the end.
    const [first] = deaf;
    if (first === undefined) throw new Error('none');
    listen(first);
    first.stream.resume();
    await until('all are answered', () => first.answers.length === 150, { timeoutMs: 30_000 });
  });

  it('ends when the agent drains: what was asked is answered, and the agent does not wait for its client', async () => {
    const redis = await redisServer();
    const one = await startAgent({ file: { redis: standalone(redis.port) } });
    const opened = open(one.address);
    listen(opened);
    opened.stream.write(batch(1, ['k']));
    await until('an answer', () => opened.answers.length === 1);
    const startedAt = performance.now();
    await one.stop();
    // Without the drain it would be the whole grace of five seconds.
    expect(performance.now() - startedAt).toBeLessThan(4_500);
    await until('the stream ends', () => opened.ended());
  });
});

async function memoryOf(process: LocalAgent): Promise<number> {
  const { readFile } = await import('node:fs/promises');
  const status = await readFile(`/proc/${process.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
}
