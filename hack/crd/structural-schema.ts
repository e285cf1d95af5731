import { z } from 'zod';

/** A node of a structural schema: what the API server understands of OpenAPI, with its extensions. */
export interface SchemaNode {
  type?: string;
  description?: string;
  default?: unknown;
  properties?: Record<string, SchemaNode>;
  items?: SchemaNode;
  additionalProperties?: SchemaNode | boolean;
  required?: string[];
  pattern?: string;
  format?: string;
  minimum?: number;
  maximum?: number;
  anyOf?: SchemaNode[];
  'x-kubernetes-validations'?: CelRule[];
  [extension: string]: unknown;
}

export interface CelRule {
  rule: string;
  message: string;
  fieldPath?: string;
}

/** Turns a zod schema into a structural schema; the rules across fields come from elsewhere. */
export function structuralSchema(schema: z.ZodType): SchemaNode {
  const node = z.toJSONSchema(schema, {
    target: 'openapi-3.0',
    // As a person writes it: what has a default is not required.
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => replacePattern(zodSchema, jsonSchema as SchemaNode),
  }) as SchemaNode;
  simplify(node);
  return node;
}

interface RegexCheck {
  readonly format?: string;
  readonly pattern?: RegExp;
  readonly error?: (issue: object) => unknown;
}

/**
 * A pattern becomes a CEL rule, because the API server reports a pattern with the pattern itself
 * ("should match '^([a-z0-9]…'"), and a rule with our own words.
 */
function replacePattern(zodSchema: z.core.$ZodTypes, node: SchemaNode): void {
  const def = zodSchema._zod.def;
  if (def.type !== 'string') return;
  delete node.pattern;
  if (node.format !== undefined && node.format !== 'date-time') delete node.format;
  for (const check of def.checks ?? []) {
    const checkDef = check._zod.def as unknown as RegexCheck;
    if (checkDef.format !== 'regex' || checkDef.pattern === undefined) continue;
    const message = checkDef.error?.({}) ?? `must match ${checkDef.pattern.source}`;
    addRule(node, { rule: `self.matches(${celRaw(checkDef.pattern.source)})`, message: String(message) });
  }
}

function celRaw(pattern: string): string {
  if (pattern.includes("'")) throw new Error(`a pattern with a quote cannot be put into CEL: ${pattern}`);
  return `r'${pattern.replaceAll('\\/', '/')}'`;
}

export function addRule(node: SchemaNode, rule: CelRule): void {
  node['x-kubernetes-validations'] = [...(node['x-kubernetes-validations'] ?? []), rule];
}

function simplify(node: SchemaNode): void {
  // Unknown fields are refused by kubectl's strict validation and pruned; a structural schema may not say so.
  if (node.additionalProperties === false) delete node.additionalProperties;
  delete node['propertyNames'];
  if (node.minimum === Number.MIN_SAFE_INTEGER) delete node.minimum;
  if (node.maximum === Number.MAX_SAFE_INTEGER) delete node.maximum;
  if (node.type === 'integer') node.format = (node.maximum ?? Infinity) < 2 ** 31 ? 'int32' : 'int64';
  if (node.anyOf !== undefined) toIntOrString(node);
  if (isObject(node.default)) node.default = withDefaults(node);
  if (typeof node.additionalProperties === 'object') simplify(node.additionalProperties);
  if (node.items !== undefined) simplify(node.items);
  for (const child of Object.values(node.properties ?? {})) simplify(child);
}

/** The API server checks a default by its CEL rules as it stands, before it fills in what is below. */
function withDefaults(node: SchemaNode): unknown {
  const given = isObject(node.default) ? node.default : {};
  const filled = Object.entries(node.properties ?? {}).flatMap(([name, child]) => {
    const value = isObject(child.default) ? withDefaults(child) : child.default;
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(filled), ...given };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The one union that a structural schema knows. Ranges move into CEL, which sees the actual type. */
function toIntOrString(node: SchemaNode): void {
  const types = node.anyOf?.map((option) => option.type).sort();
  if (types?.join() !== 'integer,string')
    throw new Error(`only integer-or-string unions, not ${types?.join()}`);
  node.anyOf = [{ type: 'integer' }, { type: 'string' }];
  node['x-kubernetes-int-or-string'] = true;
}

/** The node at a path of property names; `items` and `*` step into lists and maps. */
export function nodeAt(root: SchemaNode, path: string): SchemaNode {
  let node: SchemaNode | undefined = root;
  for (const part of path === '' ? [] : path.split('.')) {
    if (part === 'items') node = node?.items;
    else if (part === '*') node = node?.additionalProperties as SchemaNode | undefined;
    else node = node?.properties?.[part];
  }
  if (node === undefined) throw new Error(`the schema has no ${path}`);
  return node;
}
