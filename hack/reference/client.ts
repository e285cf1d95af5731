import { fileURLToPath } from 'node:url';
import type {
  ClassDeclaration,
  ClassElement,
  FunctionDeclaration,
  InterfaceDeclaration,
  Node,
  SourceFile,
  TypeElement,
  VariableStatement,
} from 'typescript/unstable/ast';
import {
  isClassDeclaration,
  isConstructorDeclaration,
  isFunctionDeclaration,
  isGetAccessorDeclaration,
  isInterfaceDeclaration,
  isMethodDeclaration,
  isMethodSignatureDeclaration,
  isPropertyDeclaration,
  isPropertySignatureDeclaration,
  isTypeAliasDeclaration,
  isVariableStatement,
} from 'typescript/unstable/ast/is';
import { type Declared, type Doc, docOf, Modules, textOf } from './declarations.ts';
import { block, code, type Page, prose, table } from './markdown.ts';

interface Section {
  readonly title: string;
  readonly files: readonly string[];
  /** Names of what is for the package's own files. */
  readonly without?: readonly string[];
}

const SECTIONS: readonly Section[] = [
  { title: 'Client', files: ['client/edge-cache-client.ts'] },
  { title: 'Codecs', files: ['client/codec.ts'] },
  {
    title: 'Errors',
    files: ['client/errors.ts'],
    without: ['isAgentsAnswer', 'isAgentsWord', 'fromRefusal', 'fromGrpc'],
  },
  { title: 'Metrics', files: ['client/metrics.ts'] },
  { title: 'Migration', files: ['client/migration/migration.ts'] },
  {
    title: 'Marketplace',
    files: [
      'client/marketplace/marketplace-cache.ts',
      'client/marketplace/sources.ts',
      'client/marketplace/errors.ts',
    ],
  },
];

/** The TypeScript client, from its sources and their TSDoc. */
export function clientPage(root: URL): Page {
  using modules = new Modules(root);
  const sections = SECTIONS.map(({ title, files, without = [] }) => {
    const parts = files.map((file) => {
      const declared = modules
        .exportsOf(fileURLToPath(new URL(file, root)))
        .filter(({ name }) => !without.includes(name))
        // What is called first, then what it is called with.
        .sort((a, b) => rank(a.node) - rank(b.node));
      return [`From [${file}](../../${file}):`, ...declared.map((one) => describe(one))].join('\n\n');
    });
    return [`## ${title}`, ...parts].join('\n\n');
  });
  return {
    name: 'client',
    title: 'The TypeScript client',
    summary: 'public classes, functions and types, with what they throw',
    source: 'client/',
    body: ['[client.md](../client.md) explains how to use it.', ...sections].join('\n\n'),
  };
}

function rank(node: Node): number {
  if (isClassDeclaration(node)) return 0;
  return isFunctionDeclaration(node) || isVariableStatement(node) ? 1 : 2;
}

function describe({ name, node, file }: Declared): string {
  const head = `### ${name}`;
  if (isClassDeclaration(node)) return [head, ...describeClass(node, file)].join('\n\n');
  if (isInterfaceDeclaration(node)) return [head, ...describeInterface(node, file)].join('\n\n');
  if (isFunctionDeclaration(node))
    return [head, ...documented(signature(node, file), docOf(node, file))].join('\n\n');
  if (isTypeAliasDeclaration(node))
    return [head, ...documented(textOf(node, file), docOf(node, file))].join('\n\n');
  if (isVariableStatement(node))
    return [head, ...documented(variable(node, file), docOf(node, file))].join('\n\n');
  throw new Error(`${name}: exports of its kind are not described yet`);
}

function describeClass(node: ClassDeclaration, file: SourceFile): string[] {
  const members = node.members.filter((member) => isPublic(member, file));
  const fields = members.filter(
    (member) => isPropertyDeclaration(member) || isGetAccessorDeclaration(member),
  );
  const head = file.text.slice(node.getStart(file), node.members.pos).replace(/\s*\{$/, '');
  const text = docOf(node, file).text;
  return [
    block('ts', head),
    ...(text === '' ? [] : [paragraph(text)]),
    ...(fields.length === 0 ? [] : [fieldTable(fields, file)]),
    ...methodsOf(members, file),
  ];
}

/** Overloads stand together; where there are any, the one that implements them is not for callers. */
function methodsOf(members: readonly ClassElement[], file: SourceFile): string[] {
  const byName = new Map<string, ClassElement[]>();
  for (const member of members) {
    if (!isMethodDeclaration(member) && !isConstructorDeclaration(member)) continue;
    const name = isMethodDeclaration(member) ? member.name.getText(file) : 'constructor';
    byName.set(name, [...(byName.get(name) ?? []), member]);
  }
  return [...byName].flatMap(([name, all]) => {
    const overloads = all.length > 1 ? all.slice(0, -1) : all;
    const docs = all.map((one) => docOf(one, file));
    const doc = docs.find(({ text, throws }) => text !== '' || throws !== '') ?? EMPTY;
    return [`#### ${name}`, ...documented(overloads.map((one) => signature(one, file)).join('\n'), doc)];
  });
}

const EMPTY: Doc = { text: '', parameters: [], returns: '', throws: '' };

function describeInterface(node: InterfaceDeclaration, file: SourceFile): string[] {
  const { text } = docOf(node, file);
  const parents = (node.heritageClauses ?? []).map((clause) => textOf(clause, file));
  const head = file.text.slice(node.getStart(file), node.members.pos).replace(/\s*\{$/, '');
  return [
    ...(parents.length > 0 || node.typeParameters !== undefined ? [block('ts', head)] : []),
    ...(text === '' ? [] : [paragraph(text)]),
    ...(node.members.length === 0 ? [] : [fieldTable([...node.members], file)]),
  ];
}

function fieldTable(members: readonly (ClassElement | TypeElement)[], file: SourceFile): string {
  return table(
    ['field', 'type', ''],
    members.map((member) => {
      const { text, throws, parameters } = docOf(member, file);
      const more = [
        ...parameters.map((one) => `${code(one.name)}: ${one.text}`),
        throws === '' ? '' : `Throws ${throws}.`,
      ];
      return [
        code(nameOf(member, file)),
        code(oneLine(typeOf(member, file))),
        prose([text, ...more].filter(Boolean).join(' ')),
      ];
    }),
  );
}

/** As it is written: with the question mark of what may be left out. */
function nameOf(member: Node, file: SourceFile): string {
  return textOf(member, file).match(/^(?:readonly |static |get )*([\w$]+\??)/)?.[1] ?? '';
}

function typeOf(member: Node, file: SourceFile): string {
  if (isMethodSignatureDeclaration(member)) return textOf(member, file).replace(/;$/, '');
  const isTyped =
    isPropertySignatureDeclaration(member) ||
    isPropertyDeclaration(member) ||
    isGetAccessorDeclaration(member);
  return isTyped && member.type !== undefined ? textOf(member.type, file) : '';
}

function isPublic(member: ClassElement, file: SourceFile): boolean {
  return !/^(static\s+)?(readonly\s+)?(async\s+)?(get\s+)?#|^(private|protected)\b/.test(
    textOf(member, file),
  );
}

/** Up to the body; what is awaited inside is nobody's business. */
function signature(node: ClassElement | FunctionDeclaration, file: SourceFile): string {
  const body = 'body' in node ? (node.body as Node | undefined) : undefined;
  const text = file.text.slice(node.getStart(file), body?.getStart(file) ?? node.end);
  return `${text
    .trim()
    .replace(/^(export )?(async )?/, '')
    .replace(/;$/, '')};`.replace(/\n {2}/g, '\n');
}

/** Without what it is made of, unless that is its type. */
function variable(node: VariableStatement, file: SourceFile): string {
  const lines = node.declarationList.declarations.map((one) =>
    one.type === undefined ? textOf(one, file) : file.text.slice(one.getStart(file), one.type.end),
  );
  return `const ${lines.join(', ')};`;
}

function documented(text: string, { text: said, parameters, returns, throws }: Doc): string[] {
  const list = [
    ...parameters.map((one) => `- ${code(one.name)}: ${prose(one.text)}`),
    ...(returns === '' ? [] : [`- returns ${prose(returns)}`]),
    ...(throws === '' ? [] : [`- throws ${prose(throws)}`]),
  ];
  return [
    block('ts', text),
    ...(said === '' ? [] : [paragraph(said)]),
    ...(list.length === 0 ? [] : [list.join('\n')]),
  ];
}

/** Lists in comments stay lists. */
function paragraph(text: string): string {
  return prose(text)
    .split(/\n(?=- )/)
    .map((part) => oneLine(part))
    .join('\n')
    .replace(/\n- /, '\n\n- ');
}

function oneLine(text: string): string {
  return text
    .replace(/\/\*\*?[\s\S]*?\*\//g, '')
    .replace(/\s+/g, ' ')
    .trim();
}
