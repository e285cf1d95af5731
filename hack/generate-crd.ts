/**
 * Writes crds/ from the zod schemas of api/. With --check it writes nothing, and fails where a file differs.
 * Usage: node hack/generate-crd.ts [--check]
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { stringify } from 'yaml';
import { buildTierCrd } from './crd/tier-crd.ts';

const file = new URL('../crds/edgecache.dev_edgecachetiers.yaml', import.meta.url);

/** Text of the file as it should be. */
export function crdText(): string {
  const head = '# Generated from api/ by hack/generate-crd.ts. Do not edit.\n';
  return head + stringify(buildTierCrd(), { lineWidth: 0, aliasDuplicateObjects: false });
}

if (import.meta.main) {
  const text = crdText();
  if (!process.argv.includes('--check')) writeFileSync(file, text);
  else if (readFileSync(file, 'utf8') !== text) {
    console.error('crds/edgecache.dev_edgecachetiers.yaml differs from api/; run: node hack/generate-crd.ts');
    process.exitCode = 1;
  }
}
