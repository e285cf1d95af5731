import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { KubeClient } from '../../operator/kube/client.ts';
import { KubeConfigCredentials } from '../../operator/kube/credentials.ts';
import { eventually } from '../../operator/testing/eventually.ts';
import { BINARIES, builtBinary } from './cache-folder.ts';
import { Daemon, freePort } from './processes.ts';

export interface KubeBinaries {
  readonly etcd: string;
  readonly apiServer: string;
  readonly controllerManager: string | undefined;
}

/** Binaries of a control plane, or undefined where none have been built yet. */
export function findKubeBinaries(): KubeBinaries | undefined {
  const etcd = builtBinary('etcd-', 'etcd');
  const apiServer = builtBinary('kubernetes-', 'kube-apiserver');
  if (etcd === undefined || apiServer === undefined) return undefined;
  return { etcd, apiServer, controllerManager: builtBinary('kubernetes-', 'kube-controller-manager') };
}

export const NO_BINARIES = `no kube-apiserver and etcd under ${BINARIES}; hack/kind builds them`;

export interface TestUser {
  readonly name: string;
  readonly groups?: readonly string[];
}

export interface ApiServerOptions {
  /** Users beside the administrator; each has its name as token. */
  readonly users?: readonly TestUser[];
  /** Also run the controllers: DaemonSets, EndpointSlices, garbage collection. */
  readonly withControllers?: boolean;
}

/** A real API server with its etcd, as in controller-runtime's envtest. No nodes. */
export class TestApiServer implements AsyncDisposable {
  readonly server: string;
  readonly folder: string;
  readonly #daemons: Daemon[];

  private constructor(server: string, folder: string, daemons: Daemon[]) {
    this.server = server;
    this.folder = folder;
    this.#daemons = daemons;
  }

  static async start(binaries: KubeBinaries, options: ApiServerOptions = {}): Promise<TestApiServer> {
    const folder = mkdtempSync(join(tmpdir(), 'edgecache-kube-'));
    const [clientPort, peerPort, port] = [await freePort(), await freePort(), await freePort()];
    const etcd = startEtcd(binaries.etcd, folder, clientPort, peerPort);
    const server = `https://127.0.0.1:${port}`;
    const apiServer = startApiServer(binaries.apiServer, folder, clientPort, port, options.users ?? []);
    const started = new TestApiServer(server, folder, [apiServer, etcd]);
    try {
      await eventually(`an API server (see ${folder})`, () => started.#isReady(apiServer), 60_000);
      if (options.withControllers) started.#startControllers(binaries);
    } catch (error) {
      await started[Symbol.asyncDispose]();
      throw error;
    }
    return started;
  }

  kubeConfig(user = 'admin'): KubeConfig {
    const config = new KubeConfig();
    config.loadFromOptions({
      clusters: [{ name: 'test', server: this.server, skipTLSVerify: true }],
      users: [{ name: user, token: user }],
      contexts: [{ name: 'test', cluster: 'test', user }],
      currentContext: 'test',
    });
    return config;
  }

  credentials(user = 'admin'): KubeConfigCredentials {
    return new KubeConfigCredentials(this.kubeConfig(user));
  }

  client(user = 'admin'): KubeClient {
    return new KubeClient({ credentials: this.credentials(user), userAgent: 'edgecache-test' });
  }

  /** A kubeconfig on disk, for kubectl and helm. */
  writeKubeConfig(user = 'admin'): string {
    const file = join(this.folder, `${user}.kubeconfig`);
    writeFileSync(file, this.kubeConfig(user).exportConfig());
    return file;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const daemon of this.#daemons) await daemon[Symbol.asyncDispose]();
    if (process.env['KEEP_TEST_FILES'] === undefined) rmSync(this.folder, { recursive: true, force: true });
  }

  async #isReady(apiServer: Daemon): Promise<true> {
    apiServer.assertAlive();
    const client = this.client();
    // Reading a namespace proves more than /readyz: storage, authorization and the default objects are there.
    await client.json({ path: '/api/v1/namespaces/default' });
    await client.json({ path: '/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin' });
    return true;
  }

  #startControllers({ controllerManager }: KubeBinaries): void {
    if (controllerManager === undefined) throw new Error('no kube-controller-manager');
    const args = [
      `--kubeconfig=${this.writeKubeConfig()}`,
      '--controllers=daemonset-controller,endpointslice-controller,garbage-collector-controller,serviceaccount-controller',
      '--leader-elect=false',
      '--secure-port=0',
      '--use-service-account-credentials=false',
      '--kube-api-qps=500',
      '--kube-api-burst=1000',
    ];
    this.#daemons.unshift(new Daemon(controllerManager, args, join(this.folder, 'controllers.log')));
  }
}

function startEtcd(binary: string, folder: string, clientPort: number, peerPort: number): Daemon {
  const [clients, peers] = [`http://127.0.0.1:${clientPort}`, `http://127.0.0.1:${peerPort}`];
  const args = [
    `--data-dir=${join(folder, 'etcd')}`,
    `--listen-client-urls=${clients}`,
    `--advertise-client-urls=${clients}`,
    `--listen-peer-urls=${peers}`,
    `--initial-advertise-peer-urls=${peers}`,
    `--initial-cluster=default=${peers}`,
    '--unsafe-no-fsync',
  ];
  return new Daemon(binary, args, join(folder, 'etcd.log'));
}

function startApiServer(
  binary: string,
  folder: string,
  etcdPort: number,
  port: number,
  users: readonly TestUser[],
): Daemon {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = join(folder, 'service-account.pem');
  writeFileSync(key, privateKey.export({ format: 'pem', type: 'pkcs1' }));
  const tokens = join(folder, 'tokens.csv');
  const all: TestUser[] = [{ name: 'admin', groups: ['system:masters'] }, ...users];
  writeFileSync(
    tokens,
    all.map(({ name, groups = [] }) => `${name},${name},${name},"${groups.join()}"\n`).join(''),
  );
  const args = [
    `--etcd-servers=http://127.0.0.1:${etcdPort}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    `--cert-dir=${join(folder, 'certs')}`,
    `--service-account-key-file=${key}`,
    `--service-account-signing-key-file=${key}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    '--service-cluster-ip-range=10.96.0.0/16',
    '--authorization-mode=RBAC',
    `--token-auth-file=${tokens}`,
    // Refuses owner references to what the operator may not finalize: it shows a missing rule.
    '--enable-admission-plugins=OwnerReferencesPermissionEnforcement',
    '--disable-admission-plugins=ServiceAccount',
    '--watch-cache=true',
  ];
  return new Daemon(binary, args, join(folder, 'api-server.log'));
}
