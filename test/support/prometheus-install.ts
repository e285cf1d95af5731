import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { BINARIES } from '../kube/cache-folder.ts';

/** Prometheus and its tool for rules, of the PATH or of Debian's package. */
export interface PrometheusBinaries {
  readonly prometheus: string;
  readonly promtool: string;
}

const FOLDER = join(BINARIES, 'prometheus-debian');
const UNPACKED = join(FOLDER, 'usr', 'bin');

/**
 * Debian's package is unpacked and not installed: it would start a server of its own. Two that need it take turns. Lists of
 * packages are fetched only where there are none.
 */
const UNPACK = `
set -euo pipefail
[[ ! -x $1/usr/bin/promtool ]] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }
dpkg-deb --extract prometheus_*.deb unpacked
mkdir -p "$(dirname "$1")"
rm -rf "$1"
mv unpacked "$1"
`;

/** Also says why they are missing, where they are. */
export function findPrometheus(): PrometheusBinaries | { readonly missing: string } {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const installed = folders.find((folder) => has(folder));
  if (installed !== undefined) return binariesIn(installed);
  if (!has(UNPACKED)) {
    try {
      const turns = ['--timeout', '600', '/tmp/edgecache-apt.lock'];
      execFileSync('flock', [...turns, 'bash', '-c', UNPACK, 'unpack', FOLDER], {
        stdio: ['ignore', 'ignore', 'pipe'],
        timeout: 600_000,
      });
    } catch (error) {
      const said = error instanceof Error ? error.message.trim() : String(error);
      return { missing: `no prometheus and promtool, and Debian's package could not be fetched: ${said}` };
    }
  }
  return binariesIn(UNPACKED);
}

function has(folder: string): boolean {
  return existsSync(join(folder, 'promtool')) && existsSync(join(folder, 'prometheus'));
}

function binariesIn(folder: string): PrometheusBinaries {
  return { prometheus: join(folder, 'prometheus'), promtool: join(folder, 'promtool') };
}
