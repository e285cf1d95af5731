import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { crdText, outdatedFiles } from './generate-crd.ts';

test('crds/ is what api/ says; if this fails, run: node hack/generate-crd.ts', () => {
  expect(outdatedFiles()).toEqual([]);
});

test('every field is described, so that kubectl explain reads well', () => {
  const text = crdText();
  const bare = text.split('\n').filter((line) => line.includes('description: ""'));
  expect(bare).toEqual([]);
  expect(undescribed(JSON.parse(JSON.stringify(schemaOf(text))), 'spec')).toEqual([]);
});

function schemaOf(text: string): unknown {
  return parse(text).spec.versions[0].schema.openAPIV3Schema.properties.spec;
}

interface Node {
  description?: string;
  properties?: Record<string, Node>;
  items?: Node;
}

function undescribed(node: Node, path: string): string[] {
  const own = node.description === undefined && !path.endsWith('[]') ? [path] : [];
  const items = node.items === undefined ? [] : undescribed(node.items, `${path}[]`);
  const fields = Object.entries(node.properties ?? {}).flatMap(([name, child]) =>
    undescribed(child, `${path}.${name}`),
  );
  return [...own, ...items, ...fields];
}
