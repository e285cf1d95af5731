import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
export const CHART = fileURLToPath(new URL('../../charts/edgecache', import.meta.url));

/** helm of the PATH, or the one that hack/kind has built. */
export function findHelm(): string | undefined {
  const cache = process.env['EDGECACHE_CACHE'] ?? join(homedir(), '.cache', 'edgecache', 'binaries');
  const built = existsSync(cache) ? readdirSync(cache).filter((name) => name.startsWith('helm-')) : [];
  const folders = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    ...built.map((name) => join(cache, name)),
  ];
  return folders.map((folder) => join(folder, 'helm')).find((file) => existsSync(file));
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
