import { beforeEach } from 'vitest';
import { OPERATOR_NAMESPACE } from '../../../hack/cluster/settings.ts';
import { kubectl, NAMESPACE } from './cluster.ts';

/** Enough to tell why without running it again. */
const LOOKS: readonly (readonly string[])[] = [
  ['get', 'nodes', '-o', 'wide'],
  ['get', 'pods', '-A', '-o', 'wide'],
  ['get', 'ect,ds,svc,endpointslices', '-n', NAMESPACE, '-o', 'wide'],
  ['describe', 'ect', '-n', NAMESPACE],
  ['describe', 'pods', '-l', 'edgecache.dev/tier', '-n', NAMESPACE],
  [
    'logs',
    '-l',
    'app.kubernetes.io/name=edgecache-operator',
    '-n',
    OPERATOR_NAMESPACE,
    '--tail=60',
    '--prefix',
  ],
  ['logs', '-l', 'edgecache.dev/tier', '-n', NAMESPACE, '--tail=40', '--prefix'],
  ['logs', 'deployment/redis-cluster-keeper', '--tail=20'],
  ['get', 'events', '-n', NAMESPACE, '--sort-by', '.lastTimestamp'],
];

/** Of a table whose every line fails, the first says it all. */
const QUIET_MS = 60_000;
let lastAt = -Infinity;

beforeEach(({ onTestFailed }) => {
  onTestFailed(async ({ task }) => {
    if (performance.now() - lastAt < QUIET_MS) return;
    lastAt = performance.now();
    for (const look of LOOKS) {
      const text = await kubectl(...look).catch((error: Error) => error.message);
      process.stderr.write(`\n-- ${task.name}: kubectl ${look.join(' ')}\n${text}`);
    }
  }, 60_000);
});
