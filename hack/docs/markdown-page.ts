/** A link of a page, and the line that it stands on. */
export interface Link {
  readonly target: string;
  readonly line: number;
}

/** A fenced block of code. */
export interface CodeBlock {
  readonly language: string;
  readonly text: string;
  /** Of its first line of code. */
  readonly line: number;
  /** What a comment `<!-- from: FILE -->` before it says: it must stand in that file. */
  readonly from: string | undefined;
}

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w-]*)/;
const FROM = /^<!-- from: (\S+) -->$/;
const LINK = /\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g;
const REFERENCE = /^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)>?/;
const HTML_TARGET = /<(?:a|img)\s[^>]*?(?:href|src|id|name)="([^"]+)"/gi;

/** What is checked of a Markdown file. */
export class MarkdownPage {
  readonly lines: readonly string[];
  readonly blocks: readonly CodeBlock[];
  readonly links: readonly Link[];
  /** What a link to a place on the page may name. */
  readonly anchors: ReadonlySet<string>;

  constructor(text: string) {
    this.lines = text.split('\n');
    const splitter = new Splitter();
    for (const [i, line] of this.lines.entries()) splitter.take(line, i + 1);
    const { blocks, prose } = splitter;
    this.blocks = blocks;
    this.links = prose.flatMap((line, i) => linksOf(line, i + 1));
    this.anchors = anchorsOf(prose);
  }
}

/** Tells code from prose; prose has a line for each of the page, empty where there is code or a comment. */
class Splitter {
  readonly blocks: CodeBlock[] = [];
  readonly prose: string[] = [];
  #fence = '';
  #block: CodeBlock & { readonly code: string[] } = {
    language: '',
    text: '',
    line: 0,
    from: undefined,
    code: [],
  };
  #from: string | undefined;
  #isComment = false;

  take(line: string, number: number): void {
    const fence = this.#isComment ? null : FENCE.exec(line);
    if (this.#fence !== '') this.#inside(line, fence);
    else if (fence !== null) this.#begin(fence, number);
    else this.#outside(line);
  }

  #begin([, fence = '', language = '']: RegExpExecArray, number: number): void {
    this.#fence = fence;
    this.#block = { language, text: '', line: number + 1, from: this.#from, code: [] };
    this.#from = undefined;
    this.prose.push('');
  }

  #inside(line: string, fence: RegExpExecArray | null): void {
    this.prose.push('');
    const isEnd = fence?.[1]?.startsWith(this.#fence) === true && fence[2] === '';
    if (!isEnd) {
      this.#block.code.push(line);
      return;
    }
    const { language, line: number, from, code } = this.#block;
    this.blocks.push({ language, text: code.join('\n'), line: number, from });
    this.#fence = '';
  }

  #outside(line: string): void {
    this.#from = FROM.exec(line)?.[1] ?? (line.trim() === '' ? this.#from : undefined);
    if (line.startsWith('<!--')) this.#isComment = true;
    this.prose.push(this.#isComment ? '' : line);
    if (line.includes('-->')) this.#isComment = false;
  }
}

function linksOf(raw: string, number: number): Link[] {
  // What looks like a link in code is none.
  const line = raw.replace(/(`+)(?:(?!\1).)+\1/g, (inline) => (inline.includes('](') ? '' : 'x'));
  const targets = [...line.matchAll(LINK)].map(([, target = '']) => target);
  const html = [...line.matchAll(HTML_TARGET)]
    .filter(([whole]) => /href|src/i.test(whole))
    .map(([, target = '']) => target);
  const reference = REFERENCE.exec(line)?.[1];
  return [...targets, ...html, ...(reference === undefined ? [] : [reference])].map((target) => ({
    target,
    line: number,
  }));
}

/** As GitHub makes them of headings. */
export function slugOf(heading: string): string {
  return heading
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll('`', '')
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '')
    .replaceAll(' ', '-');
}

function anchorsOf(prose: readonly string[]): Set<string> {
  const anchors = new Set<string>();
  for (const line of prose) {
    const heading = /^ {0,3}#{1,6}\s+(.*?)\s*#*$/.exec(line)?.[1];
    if (heading === undefined) continue;
    const slug = slugOf(heading);
    let anchor = slug;
    for (let i = 1; anchors.has(anchor); i++) anchor = `${slug}-${i}`;
    anchors.add(anchor);
  }
  return anchors;
}
