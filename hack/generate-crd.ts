/**
 * Writes crds/ from the zod schemas of api/. With --check it writes nothing, and fails where a file differs.
 * Usage: node hack/generate-crd.ts [--check]
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { stringify } from 'yaml';
import { buildTierCrd } from './crd/tier-crd.ts';

/** Beside crds/ itself the chart has a copy: Helm reads nothing outside a chart. */
const FILES = [
  'crds/edgecache.dev_edgecachetiers.yaml',
  'charts/edgecache/files/edgecache.dev_edgecachetiers.yaml',
];
const root = new URL('../', import.meta.url);

/** Text of the files as it should be. */
export function crdText(): string {
  const head = '# Generated from api/ by hack/generate-crd.ts. Do not edit.\n';
  return head + stringify(buildTierCrd(), { lineWidth: 0, aliasDuplicateObjects: false });
}

/** Files that are not as they should be. */
export function outdatedFiles(): string[] {
  const text = crdText();
  return FILES.filter((file) => readFileSync(new URL(file, root), 'utf8') !== text);
}

if (import.meta.main) {
  if (!process.argv.includes('--check')) {
    for (const file of FILES) writeFileSync(new URL(file, root), crdText());
  } else if (outdatedFiles().length > 0) {
    console.error(`${outdatedFiles().join(' and ')} differ from api/; run: node hack/generate-crd.ts`);
    process.exitCode = 1;
  }
}
