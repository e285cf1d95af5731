import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { builtBinary } from './cache-folder.ts';

const run = promisify(execFile);
export const CHART = fileURLToPath(new URL('../../charts/edgecache', import.meta.url));

/** helm of the PATH, or the one that hack/kind has built. */
export function findHelm(): string | undefined {
  const inPath = (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'helm'));
  return inPath.find((file) => existsSync(file)) ?? builtBinary('helm-', 'helm');
}

export async function helm(...args: readonly string[]): Promise<string> {
  const binary = findHelm();
  if (binary === undefined) throw new Error('no helm');
  return (await run(binary, args, { maxBuffer: 16 * 1024 ** 2 })).stdout;
}

/** Installs the chart, or upgrades it. Waits for nothing: there may be no nodes. */
export async function installChart(
  kubeConfig: string,
  namespace: string,
  ...args: readonly string[]
): Promise<string> {
  const common = ['--kubeconfig', kubeConfig, '--namespace', namespace, '--create-namespace'];
  return await helm('upgrade', '--install', 'edgecache', CHART, ...common, ...args);
}
