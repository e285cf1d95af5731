import type { SchemaNode } from '../crd/structural-schema.ts';
import { code, prose, table } from './markdown.ts';

/** Fields of a schema, one a row, lists as `name[]`, in the order in which they stand there. */
export function fieldTable(root: SchemaNode): string {
  return table(['field', 'type', 'default', 'meaning'], rowsOf(root, ''));
}

function rowsOf(node: SchemaNode, path: string): string[][] {
  return Object.entries(node.properties ?? {}).flatMap(([name, child]) => {
    const at = path === '' ? name : `${path}.${name}`;
    const isRequired = node.required?.includes(name) ?? false;
    return [rowOf(at, child, isRequired), ...below(at, child)];
  });
}

function below(path: string, node: SchemaNode): string[][] {
  if (node.items !== undefined) return below(`${path}[]`, { ...node.items, description: '' });
  return rowsOf(node, path);
}

function rowOf(path: string, node: SchemaNode, isRequired: boolean): string[] {
  const given = defaultOf(node);
  const must = isRequired && given === '' ? 'required' : code(given);
  return [
    code(path),
    typeOf(node),
    must,
    [prose(node.description ?? ''), ...rulesOf(node)].filter(Boolean).join(' '),
  ];
}

const LONGEST_DEFAULT = 40;

/** Defaults of objects stand at their fields, and long lists in the description. */
function defaultOf({ default: value }: SchemaNode): string {
  if (value === undefined || (typeof value === 'object' && value !== null && !Array.isArray(value)))
    return '';
  const text = JSON.stringify(value);
  return text.length > LONGEST_DEFAULT ? '' : text;
}

function typeOf(node: SchemaNode): string {
  const options = node['enum'];
  if (Array.isArray(options)) return options.map((one) => code(String(one))).join(', ');
  if (node['x-kubernetes-int-or-string'] === true) return 'integer or string';
  if (node.items !== undefined) return `list of ${typeOf(node.items)}`;
  if (typeof node.additionalProperties === 'object' && node.properties === undefined)
    return `map of ${typeOf(node.additionalProperties)}`;
  return `${typesOf(node)}${rangeOf(node)}`;
}

function typesOf({ type, anyOf }: SchemaNode): string {
  if (type !== undefined) return [type].flat().join(' or ');
  return (anyOf ?? []).map((one) => one.type ?? '').join(' or ') || 'any';
}

function rangeOf({ minimum, maximum }: SchemaNode): string {
  const low = minimum === undefined || minimum === Number.MIN_SAFE_INTEGER ? undefined : minimum;
  const high = maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum;
  if (low !== undefined && high !== undefined) return `, ${low} to ${high}`;
  if (low !== undefined) return `, at least ${low}`;
  return high === undefined ? '' : `, at most ${high}`;
}

/** What the API server would say; the words are ours. */
function rulesOf(node: SchemaNode): string[] {
  const rules = node['x-kubernetes-validations'] ?? [];
  return rules
    .filter(({ message }) => message !== undefined)
    .map(({ message, fieldPath }) => {
      const text = fieldPath === undefined ? message : `${code(fieldPath.slice(1))} ${message}`;
      return `${text[0]?.toUpperCase() ?? ''}${prose(text.slice(1))}.`;
    });
}
