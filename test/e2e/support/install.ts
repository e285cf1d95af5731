import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import { installOperator } from '../../../hack/cluster/prepare.ts';
import { CHART } from '../../../hack/cluster/settings.ts';
import { apply, NAMESPACE } from './cluster.ts';

const CRD_FILE = 'edgecache.dev_edgecachetiers';
/** Values that the tests install by: every file the same, so that none upgrades without meaning to. */
const VALUES = ['--set', `test.tier=lookup,test.namespace=${NAMESPACE}`];

/** The operator, and a namespace for tiers. What is there already is kept. */
export async function ensureInstalled(...values: readonly string[]): Promise<void> {
  await ensureNamespace();
  await installOperator(inject('cluster'), [...VALUES, ...values]);
}

/** What stands only in the CRD of `installOlderChart`. */
export const OLDER_WORDS = 'Words of an older version';

/** The operator by a chart of a lower version, with another CRD and other settings. */
export async function installOlderChart(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'edgecache-chart-'));
  try {
    await cp(CHART, folder, { recursive: true });
    await edit(join(folder, 'Chart.yaml'), /^version: .*$/m, 'version: 0.0.1');
    await edit(
      join(folder, 'files', `${CRD_FILE}.yaml`),
      /description: Node tier$/m,
      `description: ${OLDER_WORDS}`,
    );
    await ensureNamespace();
    const values = [...VALUES, '--set', 'operator.workers=2'];
    await installOperator(inject('cluster'), values, { chart: folder });
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function edit(file: string, from: RegExp, to: string): Promise<void> {
  const text = await readFile(file, 'utf8');
  if (!from.test(text)) throw new Error(`${file} has nothing like ${from}`);
  await writeFile(file, text.replace(from, to));
}

async function ensureNamespace(): Promise<void> {
  await apply({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: NAMESPACE, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
  });
}
