import { fileURLToPath } from 'node:url';
// Of the pinned TypeScript itself. Its API may change with a release; then this file changes with the pin.
import type { Node, SourceFile, Statement } from 'typescript/unstable/ast';
import {
  isClassDeclaration,
  isExportDeclaration,
  isFunctionDeclaration,
  isInterfaceDeclaration,
  isNamedExports,
  isStringLiteral,
  isTypeAliasDeclaration,
  isVariableStatement,
} from 'typescript/unstable/ast/is';
import { API } from 'typescript/unstable/sync';

/** A declaration, with the file that it stands in. */
export interface Declared<N extends Node = Node> {
  readonly name: string;
  readonly node: N;
  readonly file: SourceFile;
}

/** Reads what modules of this repository export, as it is written. */
export class Modules implements Disposable {
  readonly #api: API;
  readonly #open: (path: string) => SourceFile | undefined;

  /** @param root folder of tsconfig.json, with a slash at its end */
  constructor(root: URL) {
    const config = fileURLToPath(new URL('tsconfig.json', root));
    this.#api = new API({ cwd: fileURLToPath(root) });
    const project = this.#api.updateSnapshot({ openProjects: [config] }).getProject(config);
    this.#open = (path) => project?.program.getSourceFile(path);
  }

  /** Everything that a file exports, also what it hands on from others, in the order in which it stands there. */
  exportsOf(path: string): Declared[] {
    const file = this.#open(path);
    if (file === undefined) throw new Error(`${path} is no source file of this project`);
    return file.statements.flatMap((statement) => this.#exported(statement, file, path));
  }

  [Symbol.dispose](): void {
    this.#api.close();
  }

  #exported(statement: Statement, file: SourceFile, path: string): Declared[] {
    if (isExportDeclaration(statement)) {
      const { exportClause, moduleSpecifier } = statement;
      if (exportClause === undefined || !isNamedExports(exportClause)) return [];
      if (moduleSpecifier === undefined || !isStringLiteral(moduleSpecifier)) return [];
      const from = fileURLToPath(new URL(moduleSpecifier.text, `file://${path}`));
      // Generated code has a page of its own.
      if (from.includes('/proto/gen/')) return [];
      const names = exportClause.elements.map((element) => element.name.text);
      const theirs = this.exportsOf(from);
      return names.flatMap((name) => theirs.filter((one) => one.name === name));
    }
    if (!/^export\b/.test(textOf(statement, file))) return [];
    return namesOf(statement).map((name) => ({ name, node: statement, file }));
  }
}

function namesOf(statement: Statement): string[] {
  if (isVariableStatement(statement))
    return statement.declarationList.declarations.map(({ name }) => name.getText());
  const isNamed =
    isClassDeclaration(statement) ||
    isFunctionDeclaration(statement) ||
    isInterfaceDeclaration(statement) ||
    isTypeAliasDeclaration(statement);
  return isNamed && statement.name !== undefined ? [statement.name.text] : [];
}

/** A node as it is written, without the comment before it. */
export function textOf(node: Node, file: SourceFile): string {
  return file.text.slice(node.getStart(file), node.end);
}

/** What a TSDoc comment says. */
export interface Doc {
  readonly text: string;
  readonly parameters: readonly { readonly name: string; readonly text: string }[];
  readonly returns: string;
  readonly throws: string;
}

export function docOf(node: Node, file: SourceFile): Doc {
  const before = file.text.slice(node.pos, node.getStart(file));
  const comment = before.match(/\/\*\*([\s\S]*?)\*\/\s*$/)?.[1] ?? '';
  const plain = comment
    .replace(/^\s*\* ?/gm, '')
    // Links are to what stands on the same page.
    .replace(/\{@link ([^}]+)\}/g, '`$1`')
    .trim();
  const [text = '', ...tags] = plain.split(/(?:^|\s)@(?=(?:param|throws|returns)\b)/);
  const tagged = (name: string) =>
    tags.filter((tag) => tag.startsWith(`${name} `)).map((tag) => tag.slice(name.length).trim());
  return {
    text: text.trim(),
    parameters: tagged('param').map((tag) => {
      const [name = '', ...words] = tag.split(/\s+/);
      return { name, text: words.join(' ') };
    }),
    returns: tagged('returns').join(' '),
    throws: tagged('throws').join('; '),
  };
}
