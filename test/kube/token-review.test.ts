import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kubernetesReview } from '../../agent/security/kubernetes-review.ts';
import { findKubeBinaries, NO_BINARIES, TestApiServer } from './api-server.ts';

const binaries = findKubeBinaries();
if (binaries === undefined) console.warn(`skipped: ${NO_BINARIES}`);

describe.skipIf(binaries === undefined)('tokens of ServiceAccounts, at a real API server', () => {
  let server: TestApiServer;
  let port: number;

  beforeAll(async () => {
    if (binaries === undefined) return;
    server = await TestApiServer.start(binaries, { users: [{ name: 'agent' }, { name: 'nobody' }] });
    port = Number(new URL(server.server).port);
    const accounts = '/api/v1/namespaces/default/serviceaccounts';
    const metadata = { name: 'web' };
    await server
      .client()
      .json({ method: 'POST', path: accounts, body: { apiVersion: 'v1', kind: 'ServiceAccount', metadata } });
    await server.client().json({
      method: 'POST',
      path: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
      body: {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: { name: 'agent' },
        roleRef: {
          apiGroup: 'rbac.authorization.k8s.io',
          kind: 'ClusterRole',
          name: 'system:auth-delegator',
        },
        subjects: [{ kind: 'User', name: 'agent', apiGroup: 'rbac.authorization.k8s.io' }],
      },
    });
  }, 90_000);
  afterAll(() => server?.[Symbol.asyncDispose]());

  /** Asks as one of the API server's users. */
  function reviewAs(user: string, audience: string | undefined) {
    const tokenFile = join(server.folder, `${user}.token`);
    writeFileSync(tokenFile, user);
    const caFile = join(server.folder, 'certs', 'apiserver.crt');
    return kubernetesReview({ host: '127.0.0.1', port, caFile, tokenFile }, audience);
  }

  async function tokenFor(audiences: readonly string[]): Promise<string> {
    const path = '/api/v1/namespaces/default/serviceaccounts/web/token';
    const spec = { audiences, expirationSeconds: 600 };
    const answer: unknown = await server.client().json({
      method: 'POST',
      path,
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec },
    });
    return (answer as { status: { token: string } }).status.token;
  }

  test('are of whom the API server says, for their audience alone', async () => {
    const [ours, theirs] = [await tokenFor(['edgecache']), await tokenFor(['vault'])];
    const review = reviewAs('agent', 'edgecache');
    expect(await review(ours)).toEqual({ username: 'system:serviceaccount:default:web' });
    expect(await review(theirs)).toBeUndefined();
    expect(await review(`${ours.slice(0, -6)}AAAAAA`)).toBeUndefined();
    expect(await reviewAs('agent', undefined)(ours)).toBeUndefined();
  });

  test('need the role system:auth-delegator, as the error says', async () => {
    await expect(reviewAs('nobody', 'edgecache')(await tokenFor(['edgecache']))).rejects.toThrow(
      /403: the agent’s ServiceAccount needs the role system:auth-delegator/,
    );
  });
});
