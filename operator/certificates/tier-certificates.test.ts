import { X509Certificate } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fieldAt } from '../kube/object.ts';
import { aTier } from '../testing/a-tier.ts';
import { FakeSecrets } from '../testing/fake-secrets.ts';
import { AuthorityStore } from './authority-store.ts';
import { AUTHORITY_DAYS, SERVING_DAYS } from './rotation.ts';
import { TierCertificates } from './tier-certificates.ts';

const DAY_MS = 86_400_000;
const AUTHORITIES = '/api/v1/namespaces/edgecache-system/secrets/authorities';
const SERVING = '/api/v1/namespaces/shop/secrets/edgecache-edge-us-east-serving';
const TIER = aTier();

describe('certificates of a tier', () => {
  const signal = AbortSignal.timeout(60_000);
  let secrets: FakeSecrets;
  let now: Date;

  beforeEach(async () => {
    secrets = await new FakeSecrets().listen();
    now = new Date('2026-01-01T00:00:00Z');
  });
  afterEach(async () => await secrets[Symbol.asyncDispose]());

  /** What one replica knows: another begins with nothing. */
  const replica = () => {
    const client = secrets.client();
    const clock = () => now;
    const store = { client, namespace: 'edgecache-system', name: 'authorities', now: clock };
    const authorities = new AuthorityStore(store);
    return new TierCertificates({ client, authorities, clusterDomain: 'cluster.local', now: clock });
  };
  const pass = (days: number) => {
    now = new Date(now.getTime() + days * DAY_MS);
  };
  const shown = () => {
    const pem = Buffer.from(String(fieldAt(secrets.objects.get(SERVING), 'data', 'tls.crt')), 'base64');
    return new X509Certificate(pem);
  };
  const isKnownBy = (bundle: string) =>
    bundle
      .split(/(?<=-----END CERTIFICATE-----\n)/)
      .filter((pem) => pem !== '')
      .some((pem) => shown().verify(new X509Certificate(pem).publicKey));

  test('are made once, and cost no request while they are good', async () => {
    const certificates = replica();
    expect((await certificates.ensure(TIER, signal)).madeBecause).toBe('there is none');
    const before = secrets.requests.length;
    expect((await certificates.ensure(TIER, signal)).madeBecause).toBeUndefined();
    expect(secrets.requests).toHaveLength(before);
    expect([...certificates.ends()]).toEqual([['shop/edge-us-east', shown().validToDate]]);
  });

  test('are taken over by another replica', async () => {
    await replica().ensure(TIER, signal);
    const { serialNumber } = shown();
    expect((await replica().ensure(TIER, signal)).madeBecause).toBeUndefined();
    expect(shown().serialNumber).toBe(serialNumber);
  });

  test('are made again when somebody has deleted the Secret, or spoiled it', async () => {
    const certificates = replica();
    await certificates.ensure(TIER, signal);
    secrets.objects.delete(SERVING);
    pass(1);
    await certificates.ensure(TIER, signal); // what was known is too old to be trusted from now on
    expect((await certificates.ensure(TIER, signal)).madeBecause).toBe('there is none');
    const secret = secrets.objects.get(SERVING);
    if (secret === undefined) throw new Error('no Secret');
    secrets.put(SERVING, { ...secret, data: { 'tls.crt': 'eA==', 'tls.key': 'eA==' } });
    expect((await replica().ensure(TIER, signal)).madeBecause).toBe('there is none');
  });

  test('are of one authority where two replicas begin at once', async () => {
    const other = replica();
    const theirs = new FakeSecrets();
    secrets.beforeWrite = () => {
      // The other has made the authorities in the meantime: what it wrote is what counts.
      const made = theirs.objects.get(AUTHORITIES);
      if (made !== undefined) secrets.put(AUTHORITIES, made);
    };
    await theirs.listen();
    const client = theirs.client();
    const store = { client, namespace: 'edgecache-system', name: 'authorities', now: () => now };
    const [authority] = await new AuthorityStore(store).current(signal);
    const { bundle } = await other.ensure(TIER, signal);
    expect(bundle).toBe(authority?.certificate);
    expect(isKnownBy(bundle)).toBe(true);
    await theirs[Symbol.asyncDispose]();
  });

  test('of four years are known to clients that hear of authorities a month late', async () => {
    const certificates = replica();
    const told: string[] = [];
    const STEP_DAYS = 5;
    let made = 0;
    for (let day = 0; day < 2 * AUTHORITY_DAYS; day += STEP_DAYS) {
      const { bundle, endsAt, madeBecause } = await certificates.ensure(TIER, signal);
      told.push(bundle);
      if (madeBecause !== undefined) made += 1;
      expect(endsAt.getTime()).toBeGreaterThan(now.getTime());
      expect(isKnownBy(told.at(Math.max(-told.length, -1 - 25 / STEP_DAYS)) ?? '')).toBe(true);
      pass(STEP_DAYS);
    }
    // Every two thirds of a life, and with each new authority.
    expect(made).toBeGreaterThan((2 * AUTHORITY_DAYS) / SERVING_DAYS);
    expect(Object.keys(fieldAt(secrets.objects.get(AUTHORITIES), 'data') ?? {}).length).toBeLessThanOrEqual(
      4,
    );
  }, 60_000);
});
