import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../hack/local/children.ts';
import { LocalAgent } from '../../hack/local/local-agent.ts';
import { RawConnection } from '../support/raw-http2.ts';

/** Redis is not needed for any of this. */
describe('the HTTP port under attack', () => {
  let agent: LocalAgent;
  let address: string;

  beforeAll(async () => {
    agent = await LocalAgent.start({
      nodeId: 'attacked',
      file: { redis: { nodes: ['127.0.0.1:1'] } },
      waitReady: false,
    });
    address = `127.0.0.1:${agent.httpPort}`;
    await until(
      'it listens',
      async () => (await agent.fetch('/healthz').catch(() => undefined))?.ok === true,
    );
  });
  afterAll(() => agent?.stop());

  async function metric(name: string): Promise<number> {
    const text = await (await agent.fetch('/metrics')).text();
    return Number(
      text
        .split('\n')
        .find((one) => one.startsWith(`${name} `))
        ?.split(' ')
        .at(-1),
    );
  }

  it.each(['//', '//[', '/\\\\', 'http://[::', '*', '%', '//@:0/', 'data:,x'])(
    'answers a request for %s',
    async (target) => {
      const connection = await RawConnection.open(address);
      await connection.send(Buffer.from(`GET ${target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`));
      await connection.closed;
      expect(connection.text).toMatch(/^HTTP\/1\.1 4/);
      expect((await agent.fetch('/healthz')).status).toBe(200);
    },
  );

  it('answers what is no HTTP with an error', async () => {
    const connection = await RawConnection.open(address);
    await connection.send(Buffer.from('\x16\x03\x01 this is TLS, or what\r\n\r\n'));
    await connection.closed;
    expect(connection.text).toMatch(/^HTTP\/1\.1 400 /);
  });

  it('refuses headers that are too large', async () => {
    const connection = await RawConnection.open(address);
    await connection.send(Buffer.from(`GET / HTTP/1.1\r\nx: ${'x'.repeat(100_000)}\r\n\r\n`));
    await connection.closed;
    expect(connection.text).toMatch(/^(HTTP\/1\.1 431 |$)/);
  });

  it('refuses connections beyond its bound, and takes new ones when there is room', async () => {
    const crowd = await Promise.all(Array.from({ length: 200 }, () => RawConnection.open(address)));
    await until('some are refused', () => crowd.filter((one) => one.isClosed).length >= 72);
    for (const one of crowd) one.close();
    await until(
      'it answers',
      async () => (await agent.fetch('/healthz').catch(() => undefined))?.ok === true,
    );
    expect(await metric('edgecache_http_connections_refused_total')).toBeGreaterThanOrEqual(72);
  });

  it('closes connections that say nothing, or a byte a second', { timeout: 60_000 }, async () => {
    const silent = await RawConnection.open(address);
    const slow = await RawConnection.open(address);
    await slow.send(Buffer.from('GET / HTTP/1.1\r\n'));
    await until(
      'both are closed',
      async () => {
        await slow.send(Buffer.from('x'));
        return silent.isClosed && slow.isClosed;
      },
      { timeoutMs: 40_000 },
    );
    expect(await metric('edgecache_http_slow_requests_total')).toBeGreaterThanOrEqual(2);
  });
});
