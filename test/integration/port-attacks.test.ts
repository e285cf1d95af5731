import { connect } from 'node:http2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { anyJson } from '../../client/codec.ts';
import { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import { until } from '../../hack/local/children.ts';
import { LocalAgent } from '../../hack/local/local-agent.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone } from '../support/cache.ts';
import {
  callHeaders,
  END_HEADERS,
  END_STREAM,
  envelope,
  FRAME,
  frame,
  PREFACE,
  RawConnection,
  reset,
} from '../support/raw-http2.ts';

const GET = '/edgecache.v1.EdgeCache/Get';
/** What no attack may cost: an idle agent takes some 150 MB, and Node lets garbage lie for a while. */
const MAX_GROWTH_BYTES = 250e6;
const MAX_CONNECTIONS = 40;
/** Longer than any deadline of the port, on a busy machine. */
const PATIENCE = { timeoutMs: 40_000 };

const call = (id: number, flags = 0) => frame(FRAME.headers, END_HEADERS | flags, id, callHeaders(GET));
const data = (id: number, payload: Buffer, flags = 0) => frame(FRAME.data, flags, id, payload);

describe('the gRPC port under attack', () => {
  let redis: RedisServer;
  let agent: LocalAgent;
  let client: EdgeCacheClient;

  beforeAll(async () => {
    redis = await RedisServer.start();
    const security = { limits: { maxConnections: MAX_CONNECTIONS } };
    const file = { redis: standalone(redis.port), namespaces: [{ name: 'ns' }], security };
    agent = await LocalAgent.start({ nodeId: 'attacked', file });
    client = new EdgeCacheClient({ addresses: [agent.address], deadlineMs: 10_000, connectTimeoutMs: 5_000 });
    await client.put('ns', 'k', 'v', { codec: anyJson });
  });

  afterAll(async () => {
    client?.close();
    await agent?.stop();
    await redis?.stop();
  });

  async function metric(name: string, labels = ''): Promise<number> {
    const text = await (await agent.fetch('/metrics')).text();
    const line = text.split('\n').find((one) => one.startsWith(`${name}${labels} `));
    return Number(line?.split(' ').at(-1));
  }
  const ended = (reason: string) => metric('edgecache_grpc_connections_ended_total', `{reason="${reason}"}`);
  const answers = async () =>
    expect(await client.get('ns', 'k', { codec: anyJson })).toMatchObject({ value: 'v' });

  /** Sends the same over and over until it is thrown out. */
  async function flood(make: (stream: number) => Buffer): Promise<void> {
    const attacker = (await RawConnection.open(agent.address)).greet();
    // Far more than is let through, so that an agent which lets all of it through fails the test instead of ending it.
    for (let id = 3; id < 400_000 && !attacker.isClosed; ) {
      const frames: Buffer[] = [];
      for (const last = id + 100; id < last; id += 2) frames.push(make(id));
      await attacker.send(Buffer.concat(frames));
      await answers();
    }
    await until('the attacker is thrown out', () => attacker.isClosed, PATIENCE);
  }

  it.each([
    ['calls that are reset at once (CVE-2023-44487)', (id) => Buffer.concat([call(id), reset(id)])],
    [
      'calls that make the agent reset them (CVE-2025-8671)',
      (id) => Buffer.concat([call(id), frame(FRAME.window, 0, id, Buffer.alloc(4))]),
    ],
    ['calls that are never made whole', (id) => call(id)],
    [
      'headers without end (CVE-2024-27983)',
      (id) =>
        id === 3
          ? frame(FRAME.headers, 0, id, callHeaders(GET))
          : frame(FRAME.continuation, 0, 3, Buffer.of(0, 1, 97, 1, 97)),
    ],
    ['empty data', (id) => (id === 3 ? call(id) : data(3, Buffer.alloc(0)))],
    ['settings (CVE-2019-9515)', () => frame(FRAME.settings, 0, 0)],
    ['priorities (CVE-2019-9513)', (id) => frame(FRAME.priority, 0, id, Buffer.of(0, 0, 0, 0, 1))],
  ] satisfies [string, (id: number) => Buffer][])(
    'ends a flood of %s, and answers others meanwhile',
    async (_, make) => {
      const thrownOut = async () => (await ended('protocol-error')) + (await ended('control-flood'));
      const [before, memory] = [await thrownOut(), await metric('process_resident_memory_bytes')];
      await flood(make);
      await answers();
      await until('it is counted', async () => (await thrownOut()) > before);
      expect((await metric('process_resident_memory_bytes')) - memory).toBeLessThan(MAX_GROWTH_BYTES);
    },
  );

  it('tells a client that pings without end to calm down (CVE-2019-9512)', async () => {
    const before = await ended('control-flood');
    const session = connect(`http://${agent.address}`);
    session.on('error', () => undefined);
    const code = new Promise<number>((resolve) => session.once('goaway', resolve));
    const ping = (error: Error | null = null): void => {
      if (error === null && !session.destroyed) session.ping(ping);
    };
    session.once('connect', () => ping());
    // ENHANCE_YOUR_CALM
    expect(await code).toBe(11);
    session.destroy();
    expect(await ended('control-flood')).toBe(before + 1);
    await answers();
  });

  describe('by those who take their time', { timeout: 60_000 }, () => {
    it.concurrent('ends connections that say nothing', async () => {
      const silent = await RawConnection.open(agent.address);
      const half = await RawConnection.open(agent.address);
      await half.send(PREFACE.subarray(0, 10));
      await until('both are closed', () => silent.isClosed && half.isClosed, PATIENCE);
      expect(await ended('no-handshake')).toBeGreaterThanOrEqual(2);
    });

    it.concurrent('ends a request that comes byte by byte, and leaves its connection alone', async () => {
      const slow = (await RawConnection.open(agent.address)).greet();
      const message = envelope(Buffer.alloc(100_000));
      await slow.send(call(1));
      let at = 0;
      await until(
        'the call is reset',
        async () => {
          await slow.send(data(1, message.subarray(at, at + 1)));
          at += 1;
          return slow.frames.includes(FRAME.reset);
        },
        PATIENCE,
      );
      expect(await ended('slow-request')).toBeGreaterThanOrEqual(1);
      await slow.send(
        Buffer.concat([call(3), data(3, envelope(Buffer.from('0a026e7312016b', 'hex')), END_STREAM)]),
      );
      await until('the next call is answered', () => slow.frames.includes(FRAME.data));
      slow.close();
    });

    it.concurrent('lets a stream be silent for as long as it likes', async () => {
      const quiet = (await RawConnection.open(agent.address)).greet();
      await quiet.send(frame(FRAME.headers, END_HEADERS, 1, callHeaders('/edgecache.v1.EdgeCache/Lookup')));
      const silent = await RawConnection.open(agent.address);
      await until('another one’s time is over', () => silent.isClosed, PATIENCE);
      await quiet.send(data(1, envelope(Buffer.from('080112070a026e7312016b', 'hex'))));
      await until('it is answered', () => quiet.frames.includes(FRAME.data));
      quiet.close();
    });
  });

  it('gives one address half of its connections, and ends those without calls for new ones', async () => {
    const crowd: RawConnection[] = [];
    for (let i = 0; i < MAX_CONNECTIONS * 2; i++)
      crowd.push((await RawConnection.open(agent.address)).greet());
    await until('they make room for one another', async () => (await ended('made-room')) > 0);
    expect(await metric('edgecache_grpc_connections')).toBeLessThanOrEqual(MAX_CONNECTIONS / 2);
    await answers();
    for (const one of crowd) one.close();
    await until('there is room again', async () => (await metric('edgecache_grpc_connections')) < 5);
  });
});
