/**
 * Packs the command line for machines without this repository: compiled sources and what they import, one archive for all
 * platforms that have Node, its checksum, and the manifest for krew.
 * Usage: npm run pack:cli -- [--out FOLDER] [--url PREFIX]
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { z } from 'zod';
import { compile, ROOT, stageSources } from '../images/staging.ts';

const SOURCES = ['cli', 'client', 'api', 'proto/gen', 'package.json'];
/** By their names; copies of one, because krew unpacks no links. */
const PROGRAMS = {
  edgecache: 'edgecache.sh',
  'kubectl-edgecache': 'edgecache.sh',
  'kubectl_complete-edgecache': 'kubectl-complete.sh',
} as const;
const DEFAULT_URL = 'https://edgecache.dev/releases';

export interface Packed {
  readonly archive: string;
  readonly sha256: string;
  readonly manifest: string;
}

/** @param url prefix of where the archive will be found; the version and its name come behind it */
export function packCli(out: string, url: string): Packed {
  const { version } = z
    .object({ version: z.string() })
    .parse(JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')));
  const name = `edgecache-cli-${version}`;
  const work = mkdtempSync(join(tmpdir(), 'edgecache-cli-'));
  try {
    stage(join(work, name));
    mkdirSync(out, { recursive: true });
    const archive = join(out, `${name}.tar.gz`);
    writeFileSync(archive, archiveOf(work, name));
    const sha256 = createHash('sha256').update(readFileSync(archive)).digest('hex');
    writeFileSync(`${archive}.sha256`, `${sha256}  ${name}.tar.gz\n`);
    const manifest = join(out, 'edgecache.yaml');
    writeFileSync(manifest, manifestOf({ version, uri: `${url}/v${version}/${name}.tar.gz`, sha256 }));
    return { archive, sha256, manifest };
  } finally {
    rmSync(work, { recursive: true });
  }
}

function stage(folder: string): void {
  const compiled = compile('hack/cli/tsconfig.json');
  try {
    stageSources({ folder: join(folder, 'lib'), sources: SOURCES, compiled });
  } finally {
    rmSync(compiled, { recursive: true });
  }
  mkdirSync(join(folder, 'bin'));
  copyFileSync(join(ROOT, 'LICENSE'), join(folder, 'LICENSE'));
  for (const [name, script] of Object.entries(PROGRAMS)) {
    copyFileSync(join(ROOT, 'hack/cli', script), join(folder, 'bin', name));
    chmodSync(join(folder, 'bin', name), 0o755);
  }
}

/** The same bytes for the same contents, whoever packs them and when. */
function archiveOf(folder: string, name: string): Buffer {
  const same = [
    '--sort=name',
    '--mtime=@0',
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--mode=u+rwX,go=rX',
  ];
  const tar = execFileSync('tar', [...same, '-cf', '-', '-C', folder, name], { maxBuffer: 1024 ** 3 });
  return gzipSync(tar, { level: 9 });
}

/** @throws Error where the template has a place that nobody fills */
export function manifestOf(values: Readonly<Record<string, string>>): string {
  const template = readFileSync(join(ROOT, 'hack/krew/edgecache.yaml'), 'utf8');
  const [, ...lines] = template.split('\n');
  return lines.join('\n').replaceAll(/\{\{(\w+)\}\}/g, (place, name: string) => {
    const value = values[name];
    if (value === undefined)
      throw new Error(`hack/krew/edgecache.yaml: nothing is known to fill in for ${place}`);
    return value;
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: join(ROOT, 'dist') },
      url: { type: 'string', default: DEFAULT_URL },
    },
  });
  const { archive, sha256, manifest } = packCli(resolve(values.out), values.url);
  console.log(`${sha256}  ${archive}\n${manifest}`);
}
