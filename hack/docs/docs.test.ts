import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../local/children.ts';
import { brokenLinks, unknownScripts, unreachable } from './links.ts';
import { wrongManifests } from './manifests.ts';
import { MarkdownPage, slugOf } from './markdown-page.ts';
import { missingTests } from './named-tests.ts';
import { moduleOf, wrongExcerpts, wrongSnippets } from './snippets.ts';

/** A folder with these files, and its pages. */
function aFolder(files: Readonly<Record<string, string>>) {
  const root = temporaryFolder('docs-test');
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  const markdown = Object.entries(files).filter(([path]) => path.endsWith('.md'));
  return { root, pages: new Map(markdown.map(([path, text]) => [path, new MarkdownPage(text)])) };
}

describe('links', () => {
  it('that lead nowhere are told of with file and line', () => {
    const { root, pages } = aFolder({
      'README.md': [
        '[a](docs/a.md), [gone](docs/gone.md), ![picture](docs/none.png)',
        '[there](docs/a.md#two-words), [not there](docs/a.md#three), [own](#gone)',
        '[out](../etc/passwd) and [elsewhere](https://example.com/none) and `[code](none.md)`',
        '<a href="docs/html.md">html</a>',
        '[by name][name]',
        '',
        '[name]: docs/named.md',
        '```text',
        '[in a block](none.md)',
        '```',
        '<!-- [in a comment](none.md) -->',
      ].join('\n'),
      'docs/a.md': '# Two `words`\n\n[up](../README.md) [folder](../docs) [from the root](/docs/a.md)',
    });
    expect(brokenLinks(root, pages)).toEqual([
      'README.md:1: docs/gone.md: there is no docs/gone.md',
      'README.md:1: docs/none.png: there is no docs/none.png',
      'README.md:2: docs/a.md#three: docs/a.md has no heading for it',
      'README.md:2: #gone: README.md has no heading for it',
      'README.md:3: ../etc/passwd leads out of the repository',
      'README.md:4: docs/html.md: there is no docs/html.md',
      'README.md:7: docs/named.md: there is no docs/named.md',
    ]);
  });

  it.each([
    ['What it is, for whom', 'what-it-is-for-whom'],
    ['`getOrLoad`', 'getorload'],
    ['Redis, 7.0 or newer', 'redis-70-or-newer'],
    ['l1_misses & [links](x.md)', 'l1_misses--links'],
    ['Über Größe', 'über-größe'],
  ])('find the heading %s as #%s', (heading, slug) => {
    expect(slugOf(heading)).toBe(slug);
  });

  it('tell equal headings apart', () => {
    expect([...new MarkdownPage('# A\n## A\n# A').anchors]).toEqual(['a', 'a-1', 'a-2']);
  });

  it('lead from the README to every page, through others and through folders', () => {
    const { root, pages } = aFolder({
      'README.md': '[a](docs/a.md) [more](more)',
      'docs/a.md': '[b](b.md)',
      'docs/b.md': '[a](a.md)',
      'docs/lost.md': '[README](../README.md)',
      'more/README.md': '',
    });
    expect(unreachable(root, pages)).toEqual(['docs/lost.md: no link leads here from README.md']);
  });
});

describe('commands', () => {
  it('that package.json has not are told of, in code too', () => {
    const { pages } = aFolder({
      'README.md': 'a\n```console\nnpm run there && npm run -s gone:now\n```\n`npm run gone`',
    });
    expect(unknownScripts(pages, new Set(['there']))).toEqual([
      'README.md:3: npm run -s gone:now: package.json has no such script',
      'README.md:5: npm run gone: package.json has no such script',
    ]);
  });
});

describe('tiers', () => {
  it('that would be refused are told of, with each field; fragments are not judged', () => {
    const tier = 'apiVersion: edgecache.dev/v1alpha1\nkind: EdgeCacheTier\nmetadata: { name: a }\nspec:';
    const good = '{ region: us-east, tier: edge, redis: { nodes: ["redis:6379"] } }';
    const page = (yaml: string) => `\`\`\`yaml\n${yaml}\n\`\`\``;
    const { pages } = aFolder({
      'good.md': page(`${tier} ${good}`),
      'fragment.md': page('namespaces:\n  - name: x\n    colour: red'),
      'bad.md': `text\n${page(`${tier} { region: us-east, tier: edge, colour: red, redis: { nodes: ["redis:6379"] } }`)}`,
      'broken.md': page('a: [1'),
    });
    expect(wrongManifests(pages)).toEqual([
      'bad.md:3: spec.colour: got an unknown field; remove it or correct its name',
      expect.stringMatching(/^broken.md:2: /),
    ]);
  });
});

describe('snippets', () => {
  const page = [
    '<!-- prelude',
    'declare const database: { price(): number };',
    '-->',
    '```ts',
    'const price = database.price();',
    '```',
    'and then',
    '```ts',
    'const text: string = price;',
    '```',
  ].join('\n');

  it('are one module, each line in its place', () => {
    const lines = moduleOf(new MarkdownPage(page))?.split('\n');
    expect(lines?.[1]).toBe('declare const database: { price(): number };');
    expect(lines?.[8]).toBe('const text: string = price;');
    expect(moduleOf(new MarkdownPage('```sh\nls\n```'))).toBeUndefined();
  });

  it('that are wrong are told of where they stand', () => {
    const { root, pages } = aFolder({
      'docs/a.md': page,
      'tsconfig.json': '{"compilerOptions":{"strict":true,"noEmit":true}}',
    });
    const modules = fileURLToPath(new URL('../../node_modules', import.meta.url));
    symlinkSync(modules, join(root, 'node_modules'));
    expect(wrongSnippets(root, pages)).toEqual([
      "docs/a.md:9: error TS2322: Type 'number' is not assignable to type 'string'.",
    ]);
  });

  it('that are said to be from a file must stand there, however indented', () => {
    const block = (code: string) => `<!-- from: a.ts -->\n\n\`\`\`ts\n${code}\n\`\`\``;
    const { root, pages } = aFolder({
      'a.ts': 'function a() {\n  one();\n\n  two();\n}\n',
      'there.md': block('one();\ntwo();'),
      'not-there.md': block('one();\nthree();'),
    });
    expect(wrongExcerpts(root, pages)).toEqual([
      'not-there.md:4: this is not in a.ts, as the comment before it says',
    ]);
    expect(moduleOf(pages.get('there.md') ?? new MarkdownPage(''))).toBeUndefined();
  });
});

describe('tests that pages name', () => {
  it('are there, by path or by name', () => {
    const { root, pages } = aFolder({
      'README.md': [
        '`a.test.ts`, `src/a.test.ts`, `a.test.ts` again',
        '`b.test.ts`, `src/b.test.ts`',
        '`test/a.test.ts`',
      ].join('\n'),
      'src/a.test.ts': '',
    });
    expect(missingTests(root, pages)).toEqual([
      'README.md:2: there is no test b.test.ts',
      'README.md:2: there is no test src/b.test.ts',
      'README.md:3: there is no test test/a.test.ts',
    ]);
  });
});
