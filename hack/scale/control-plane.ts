import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findKubeBinaries, NO_BINARIES, TestApiServer } from '../../test/kube/api-server.ts';
import { BINARIES, builtBinary } from '../../test/kube/cache-folder.ts';
import { Daemon } from '../../test/kube/processes.ts';
import { freePort } from '../local/children.ts';

/** Addresses of simulated pods: shared address space, so that no real network has them (RFC 6598). */
const POD_NETWORK = '100.100.0.0/16';

/** A real control plane, and nodes and pods that kwok simulates on addresses that this machine answers for. */
export interface ControlPlane extends AsyncDisposable {
  readonly server: TestApiServer;
}

/** @throws Error that says what is missing and how to get it. */
export async function startControlPlane(): Promise<ControlPlane> {
  const binaries = findKubeBinaries();
  const scheduler = builtBinary('kubernetes-', 'kube-scheduler');
  const kwok = builtBinary('kwok-', 'kwok');
  const stages = join(dirname(BINARIES), 'kwok-stages.yaml');
  if (binaries?.controllerManager === undefined || scheduler === undefined) throw new Error(NO_BINARIES);
  if (kwok === undefined || !existsSync(stages))
    throw new Error(`no kwok under ${BINARIES}; hack/kind/build-binaries.sh all builds it`);
  routePods('replace');
  const server = await TestApiServer.start(binaries, { withControllers: true });
  const kubeconfig = server.writeKubeConfig();
  const log = (name: string) => join(server.folder, `${name}.log`);
  const daemons = [
    new Daemon(
      scheduler,
      [
        `--kubeconfig=${kubeconfig}`,
        '--leader-elect=false',
        '--secure-port=0',
        '--kube-api-qps=500',
        '--kube-api-burst=1000',
      ],
      log('scheduler'),
    ),
    new Daemon(
      kwok,
      [
        `--kubeconfig=${kubeconfig}`,
        `--config=${stages}`,
        '--manage-all-nodes=true',
        `--cidr=${POD_NETWORK}`,
        `--server-address=127.0.0.1:${await freePort()}`,
      ],
      log('kwok'),
    ),
  ];
  return {
    server,
    async [Symbol.asyncDispose]() {
      for (const daemon of daemons) await daemon[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
      routePods('delete');
    },
  };
}

/** With it, one process here is the agent of every simulated pod. */
function routePods(what: 'replace' | 'delete'): void {
  try {
    execFileSync('ip', ['route', what, 'local', POD_NETWORK, 'dev', 'lo'], { stdio: 'pipe' });
  } catch (error) {
    if (what === 'replace') throw new Error('must be run as root, with iproute2 installed', { cause: error });
  }
}
