import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import { until } from '../../hack/local/children.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { NetworkAgentLink } from '../../operator/agents/link.ts';
import {
  type Authority,
  bundleOf,
  newServing,
  rotateAuthorities,
  SERVING_DAYS,
  signerOf,
} from '../../operator/certificates/rotation.ts';
import { servingNames } from '../../operator/manifests/names.ts';
import { standalone, startAgent } from '../support/cache.ts';
import { MountedFolder } from '../support/certificates.ts';

const DAY_MS = 86_400_000;
const NAMES = servingNames({ metadata: { name: 'east', namespace: 'shop' } }, 'cluster.local');

let redis: RedisServer;
beforeAll(async () => {
  redis = await RedisServer.start();
});
afterAll(() => redis.stop());

/** What the operator puts into the Secret at a moment. */
function secretOf(authorities: readonly Authority[], now: Date) {
  const { certificate, key } = newServing(signerOf(authorities, now), NAMES, now);
  return { 'tls.crt': Buffer.from(certificate), 'tls.key': Buffer.from(key) };
}

it('an agent serves by what the operator makes, through a change, and the operator sees and asks it', async () => {
  const now = new Date();
  const authorities = rotateAuthorities([], now);
  // Made a while ago, so that the next one ends later.
  const mount = new MountedFolder(secretOf(authorities, new Date(now.getTime() - 10 * DAY_MS)));
  const [certFile, keyFile] = [mount.file('tls.crt'), mount.file('tls.key')];
  const agent = await startAgent({
    file: {
      redis: standalone(redis.port),
      security: { tls: { enabled: true, certFile, keyFile, clientCert: 'none' } },
    },
  });
  onTestFinished(() => agent.stop());
  const client = new EdgeCacheClient({
    addresses: [agent.address],
    tls: { ca: bundleOf(authorities), serverName: 'edgecache-east.shop' },
    connectTimeoutMs: 2_000,
    deadlineMs: 5_000,
  });
  onTestFinished(() => client.close());
  await client.put('gpu_avail', 'k', 1);

  const [grpcPort, httpPort] = [agent.address, agent.httpAddress].map((at) => Number(at.split(':')[1]));
  const { privateKey } = generateKeyPairSync('ed25519');
  const link = new NetworkAgentLink({
    privateKey,
    grpcPort: grpcPort ?? 0,
    httpPort: httpPort ?? 0,
    timeoutMs: 5_000,
  });
  onTestFinished(() => link.close());
  const signal = AbortSignal.timeout(60_000);
  const endsInDays = async () =>
    Math.round(((await link.certificateEnd('127.0.0.1', signal)).getTime() - now.getTime()) / DAY_MS);
  expect(await endsInDays()).toBe(SERVING_DAYS - 10);

  mount.swap(secretOf(authorities, now));
  await until('the new certificate is shown', async () => (await endsInDays()) === SERVING_DAYS);
  expect(await client.get('gpu_avail', 'k')).toMatchObject({ status: 'hit' });
  // What the operator reads of a real agent, by its own schema.
  expect(await link.stats('127.0.0.1', signal)).toMatchObject({
    redis: { connected: true },
    l1: { sizeShare: 1 },
  });
});
