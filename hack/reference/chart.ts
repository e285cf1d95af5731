import { readFileSync } from 'node:fs';
import { isMap, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml';
import { z } from 'zod';
import type { SchemaNode } from '../crd/structural-schema.ts';
import { code, type Page, prose, table } from './markdown.ts';

const schemaFile = z.looseObject({ definitions: z.record(z.string(), z.unknown()).default({}) });

/** Values of the chart, with the comments of values.yaml. */
export function chartPage(folder: URL): Page {
  const values = parseDocument(readFileSync(new URL('values.yaml', folder), 'utf8'));
  const schema = schemaFile.parse(JSON.parse(readFileSync(new URL('values.schema.json', folder), 'utf8')));
  if (!isMap(values.contents)) throw new Error('values.yaml is no map');
  const resolve = (node: SchemaNode | undefined): SchemaNode | undefined => {
    const ref = node?.['$ref'];
    if (typeof ref !== 'string') return node;
    return schema.definitions[ref.replace('#/definitions/', '')] as SchemaNode | undefined;
  };
  const rows = rowsOf(values.contents, '', schema as SchemaNode, resolve);
  return {
    name: 'chart',
    title: 'Values of the Helm chart',
    summary: '`charts/edgecache`: every value and its default',
    source: 'charts/edgecache/values.yaml and values.schema.json',
    body: [
      '`helm install edgecache charts/edgecache -n edgecache-system --create-namespace --set NAME=VALUE`. A value that is not in this list, or of another type, is refused.',
      table(['value', 'type', 'default', 'meaning'], rows),
    ].join('\n\n'),
  };
}

type Resolve = (node: SchemaNode | undefined) => SchemaNode | undefined;

function rowsOf(map: YAMLMap, path: string, schema: SchemaNode | undefined, resolve: Resolve): string[][] {
  return map.items.flatMap((pair, i) => {
    const { key, value } = pair;
    const name = isScalar(key) ? String(key.value) : '';
    const at = path === '' ? name : `${path}.${name}`;
    // A comment before the first key of a map belongs to the map.
    const comment = clean(commentOf(pair) || (i === 0 ? (map.commentBefore ?? '') : ''));
    const child = resolve(schema?.properties?.[name]);
    if (!isFurtherMap(value)) return [[code(at), typeOf(child), defaultOf(value), comment]];
    const below = rowsOf(value, at, child, resolve);
    return comment === '' ? below : [[code(at), '', '', comment], ...below];
  });
}

/** Not one that is a value as a whole, such as resources. */
function isFurtherMap(value: unknown): value is YAMLMap {
  return isMap(value) && value.items.length > 0 && value.flow !== true;
}

const LONGEST_DEFAULT = 60;

function defaultOf(value: unknown): string {
  const text = JSON.stringify(toPlain(value)) ?? '';
  return text.length > LONGEST_DEFAULT ? 'see values.yaml' : code(text);
}

function toPlain(value: unknown): unknown {
  return typeof value === 'object' &&
    value !== null &&
    'toJSON' in value &&
    typeof value.toJSON === 'function'
    ? value.toJSON()
    : value;
}

function commentOf(pair: Pair): string {
  const keyComment = isScalar(pair.key) ? pair.key.commentBefore : undefined;
  return keyComment ?? '';
}

function clean(comment: string): string {
  return prose(comment.replace(/\s+/g, ' ').trim());
}

function typeOf(node: SchemaNode | undefined): string {
  if (node === undefined) return '';
  const options = node['enum'];
  if (Array.isArray(options)) return options.map((one) => code(String(one))).join(', ');
  const { minimum, maximum } = node;
  if (minimum === undefined) return [node.type ?? ''].flat().join(' or ');
  const range = maximum === undefined ? `at least ${minimum}` : `${minimum} to ${maximum}`;
  return `${node.type}, ${range}`;
}
