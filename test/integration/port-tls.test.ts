import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { AgentFile } from '../../api/agent-config.ts';
import { EdgeCacheClient, type EdgeCacheClientOptions } from '../../client/edge-cache-client.ts';
import { until } from '../../hack/local/children.ts';
import { LocalAgent } from '../../hack/local/local-agent.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent, type TestAgent } from '../support/cache.ts';
import { Authority, MountedFolder, type Pair } from '../support/certificates.ts';
import { scraped } from '../support/metrics.ts';

let redis: RedisServer;
let authority: Authority;
let stranger: Authority;

beforeAll(async () => {
  redis = await RedisServer.start();
  authority = new Authority('agents');
  stranger = new Authority('somebody else');
});
afterAll(() => redis.stop());

type Tls = NonNullable<NonNullable<AgentFile['security']>['tls']>;

const filesOf = ({ certFile, keyFile }: Pair, caFile = authority.caFile) => ({
  'tls.crt': readFileSync(certFile),
  'tls.key': readFileSync(keyFile),
  'ca.crt': readFileSync(caFile),
});

/** An agent whose certificate is in a mounted folder, as in a pod. */
async function secured(tls: Partial<Tls> = {}, pair = authority.issueForAgent()) {
  const mount = new MountedFolder(filesOf(pair));
  const agent = await startAgent({
    file: {
      redis: standalone(redis.port),
      security: {
        tls: {
          enabled: true,
          certFile: mount.file('tls.crt'),
          keyFile: mount.file('tls.key'),
          ...(tls.clientCert === undefined ? {} : { caFile: mount.file('ca.crt') }),
          ...tls,
        },
      },
    },
  });
  onTestFinished(() => agent.stop());
  return { agent, mount };
}

function clientOf(agent: TestAgent, tls: EdgeCacheClientOptions['tls'] | undefined): EdgeCacheClient {
  const client = new EdgeCacheClient({
    addresses: [agent.address],
    connectTimeoutMs: 2_000,
    deadlineMs: 5_000,
    ...(tls === undefined ? {} : { tls }),
  });
  onTestFinished(() => client.close());
  return client;
}

const sampleOf = async (agent: TestAgent, name: string) => (await scraped(agent)).get(name);

interface Own {
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly session?: Buffer;
}

/** A session of TLS, as the agent offers it for later. */
function sessionWith(agent: TestAgent, own: Own): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...toAgent(agent), ...own });
    socket.once('error', reject);
    socket.once('session', (session: Buffer) => {
      resolve(session);
      socket.destroy();
    });
    socket.resume();
  });
}

/** In TLS 1.3 a client hears that it is refused only after it took itself to be connected: so the agent has to say something. */
function connectWith(agent: TestAgent, own: Own): Promise<'anew' | 'resumed' | 'refused'> {
  return new Promise((resolve) => {
    const socket = connect({ ...toAgent(agent), ...own });
    socket.once('error', () => resolve('refused'));
    socket.once('close', () => resolve('refused'));
    // The SETTINGS of HTTP/2.
    socket.once('data', () => {
      resolve(socket.isSessionReused() ? 'resumed' : 'anew');
      socket.destroy();
    });
  });
}

function toAgent(agent: TestAgent) {
  const [host = '', port] = agent.address.split(':');
  return { host, port: Number(port), ca: readFileSync(authority.caFile), ALPNProtocols: ['h2'] };
}

/** Serial number of the certificate that new connections are shown. */
function shownBy(agent: TestAgent): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(toAgent(agent), () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

describe('TLS of the port', () => {
  it('serves who trusts the authority, and near caches', async () => {
    const { agent } = await secured();
    const client = new EdgeCacheClient({
      addresses: [agent.address],
      connectTimeoutMs: 2_000,
      tls: { caFile: authority.caFile },
      near: { namespaces: { gpu_avail: {} }, renewMs: 20 },
    });
    onTestFinished(() => client.close());
    await client.put('gpu_avail', 'k', 1, { confirm: true });
    await until('it is answered in the process', async () => {
      const found = await client.get('gpu_avail', 'k');
      return found.status === 'hit' && found.source === 'near';
    });
  });

  it('is refused by who trusts somebody else or expects another name, who are told why', async () => {
    const { agent } = await secured();
    await expect(clientOf(agent, { caFile: stranger.caFile }).get('gpu_avail', 'k')).rejects.toMatchObject({
      code: 'EC_CLIENT_AGENT_UNAVAILABLE',
      message: expect.stringMatching(/unable to verify|self-signed|issuer/),
    });
    const other = { caFile: authority.caFile, serverName: 'other.test' };
    await expect(clientOf(agent, other).get('gpu_avail', 'k')).rejects.toMatchObject({
      message: expect.stringContaining('other.test'),
    });
    const named = clientOf(agent, { caFile: authority.caFile, serverName: 'agent.test' });
    expect(await named.get('gpu_avail', 'none')).toMatchObject({ status: 'miss' });
  });

  it('takes nothing in plain text, and nothing older than TLS 1.2', async () => {
    const { agent } = await secured();
    await expect(agent.client.get('gpu_avail', 'k')).rejects.toMatchObject({
      code: 'EC_CLIENT_AGENT_UNAVAILABLE',
    });
    const [host = '', port] = agent.address.split(':');
    const refused = new Promise<string>((resolve) => {
      const options = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
      const socket = connect({ host, port: Number(port), rejectUnauthorized: false, ...options }, () =>
        resolve('connected'),
      );
      socket.once('error', (error) => resolve(String(error)));
    });
    expect(await refused).toMatch(/protocol version|unsupported protocol|no protocols/i);
  });

  it('asks for a certificate of its authority where that is required', async () => {
    const { agent } = await secured({ clientCert: 'require' });
    const tls = { caFile: authority.caFile };
    expect(
      await clientOf(agent, { ...tls, ...authority.issue('app') }).get('gpu_avail', 'none'),
    ).toMatchObject({
      status: 'miss',
    });
    for (const wrong of [{}, stranger.issue('app'), authority.issue('app', { days: -1 })])
      await expect(clientOf(agent, { ...tls, ...wrong }).get('gpu_avail', 'k')).rejects.toMatchObject({
        code: 'EC_CLIENT_AGENT_UNAVAILABLE',
      });
  });

  it('takes those without a certificate where it is optional', async () => {
    const { agent } = await secured({ clientCert: 'optional' });
    const tls = { caFile: authority.caFile };
    for (const pair of [{}, authority.issue('app')])
      expect(await clientOf(agent, { ...tls, ...pair }).get('gpu_avail', 'none')).toMatchObject({
        status: 'miss',
      });
  });
});

describe('certificates that are replaced', () => {
  it('are shown to new connections, and nothing fails meanwhile', async () => {
    const { agent, mount } = await secured();
    const client = clientOf(agent, { caFile: authority.caFile });
    await client.put('gpu_avail', 'k', 1);
    const before = await shownBy(agent);
    const load = { done: 0, failed: [] as unknown[], over: false };
    const running = Promise.all(
      Array.from({ length: 4 }, async () => {
        while (!load.over) {
          const one = clientOf(agent, { caFile: authority.caFile });
          for (let i = 0; i < 20; i += 1) {
            await one.get('gpu_avail', 'k').then(
              () => (load.done += 1),
              (error: unknown) => load.failed.push(error),
            );
          }
          one.close();
        }
      }),
    );
    for (let round = 0; round < 3; round += 1) {
      const shown = await shownBy(agent);
      mount.swap(filesOf(authority.issueForAgent()));
      await until('the new one is shown', async () => (await shownBy(agent)) !== shown);
    }
    load.over = true;
    await running;
    expect(load.failed).toEqual([]);
    expect(load.done).toBeGreaterThan(100);
    expect(await shownBy(agent)).not.toBe(before);
    expect(await sampleOf(agent, 'edgecache_tls_reloads_total{result="taken"}')).toBe(3);
  });

  it('by what cannot be used go on being shown, which is counted', async () => {
    const { agent, mount } = await secured();
    const before = await shownBy(agent);
    const [one, other] = [authority.issueForAgent(), authority.issueForAgent()];
    mount.swap(filesOf({ certFile: one.certFile, keyFile: other.keyFile }));
    await until('it is refused', async () => {
      return (await sampleOf(agent, 'edgecache_tls_reloads_total{result="refused"}')) === 1;
    });
    expect(await shownBy(agent)).toBe(before);
    mount.swap(filesOf(other));
    await until('the mended pair is shown', async () => (await shownBy(agent)) !== before);
  });

  it('of authorities are heeded: who was of the old one is refused from then on', async () => {
    const { agent, mount } = await secured({ clientCert: 'require' });
    const pair = authority.issueForAgent();
    mount.swap(filesOf(pair, stranger.caFile));
    await until('the new authority counts', async () => {
      const client = clientOf(agent, { caFile: authority.caFile, ...stranger.issue('app') });
      const found = await client.get('gpu_avail', 'none').catch(() => undefined);
      client.close();
      return found?.status === 'miss';
    });
    const old = clientOf(agent, { caFile: authority.caFile, ...authority.issue('app') });
    await expect(old.get('gpu_avail', 'k')).rejects.toMatchObject({ code: 'EC_CLIENT_AGENT_UNAVAILABLE' });
  });

  it('of authorities end what was agreed under the old one: nobody resumes a session', async () => {
    const { agent, mount } = await secured({ clientCert: 'require' });
    const { certFile, keyFile } = authority.issue('app');
    const own = { cert: readFileSync(certFile), key: readFileSync(keyFile) };
    const session = await sessionWith(agent, own);
    expect(await connectWith(agent, { ...own, session })).toBe('resumed');
    mount.swap(filesOf(authority.issueForAgent(), stranger.caFile));
    await until('the new authority counts', async () => {
      return (await connectWith(agent, own)) !== 'anew';
    });
    expect(await connectWith(agent, { ...own, session })).toBe('refused');
  });

  it('say in a metric when they end', async () => {
    const { agent } = await secured({ clientCert: 'optional' });
    for (const [of, days] of [
      ['certificate', 1],
      ['ca', 2],
    ] as const) {
      const name = `edgecache_tls_certificate_expiration_timestamp_seconds{of="${of}"}`;
      const leftSeconds = ((await sampleOf(agent, name)) ?? 0) - Date.now() / 1000;
      expect(Math.round(leftSeconds / 86_400)).toBe(days);
    }
  });
});

describe('a wrong certificate at the start', () => {
  const start = (tls: Tls) =>
    startAgent({ file: { redis: standalone(redis.port), security: { tls } }, waitReady: false });

  it('stops it, naming the setting', async () => {
    const [one, other] = [authority.issueForAgent(), authority.issueForAgent()];
    const { certFile } = one;
    await expect(start({ enabled: true, certFile, keyFile: other.keyFile })).rejects.toMatchObject({
      code: 'EC_SECURITY_FILE',
      message: expect.stringContaining('keyFile (CACHE_TLS_KEY_FILE) is not the key of'),
    });
    await expect(start({ enabled: true, certFile, keyFile: '/none/tls.key' })).rejects.toThrow(
      '/none/tls.key',
    );
    await expect(start({ enabled: true, certFile, keyFile: certFile })).rejects.toThrow(
      'no private key in PEM',
    );
    await expect(start({ enabled: true, ...one, clientCert: 'require' })).rejects.toThrow(
      /security\.tls\.caFile/,
    );
    await expect(start({ enabled: true })).rejects.toThrow(/security\.tls\.certFile/);
    await expect(start({ enabled: false, certFile })).rejects.toThrow(/security\.tls\.enabled/);
    await expect(
      start({ enabled: true, ...one, clientCert: 'require', caFile: one.keyFile }),
    ).rejects.toThrow('caFile (CACHE_TLS_CA_FILE) has no certificate');
  });

  it('ends the process with exit code 2', async () => {
    const env = { CACHE_ENABLE_TLS: 'true', CACHE_TLS_CERT_FILE: '/none/a', CACHE_TLS_KEY_FILE: '/none/b' };
    const started = LocalAgent.start({ nodeId: 'n', file: { redis: standalone(redis.port) }, env });
    await expect(started).rejects.toThrow(/EC_SECURITY_FILE.*\/none\/a/s);
    await expect(started).rejects.toMatchObject({
      cause: { message: expect.stringContaining('exit code 2') },
    });
  });
});
