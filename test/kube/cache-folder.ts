import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where hack/kind keeps what it builds: the same rule as in hack/kind/lib.sh. */
const ROOT =
  process.env['EDGECACHE_CACHE_DIR'] ??
  join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'edgecache');
export const BINARIES = join(ROOT, 'binaries');

/** A binary that hack/kind has built, in its newest version; undefined where it has not. */
export function builtBinary(prefix: string, file: string): string | undefined {
  if (!existsSync(BINARIES)) return undefined;
  return readdirSync(BINARIES)
    .filter((folder) => folder.startsWith(prefix))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .map((folder) => join(BINARIES, folder, file))
    .filter((path) => existsSync(path))
    .at(-1);
}
