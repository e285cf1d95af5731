/** A page of docs/reference. */
export interface Page {
  /** In docs/reference, without .md. */
  readonly name: string;
  readonly title: string;
  /** One line for the index. */
  readonly summary: string;
  /** What the page is made from, as a person would look for it. */
  readonly source: string;
  readonly body: string;
}

/** The file of a page. */
export function pageText({ title, source, body }: Page): string {
  return `<!-- Generated from ${source} by npm run generate. Do not edit. -->\n\n# ${title}\n\n${body.trim()}\n`;
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(cell).join(' | ')} |`;
  return [line(head), `|${' --- |'.repeat(head.length)}`, ...rows.map(line)].join('\n');
}

function cell(text: string): string {
  return text.replaceAll('\n', ' ').replaceAll('|', '\\|').trim();
}

/** Text of a comment or description, in which < and > are meant as they stand. */
export function prose(text: string): string {
  return text.replaceAll('<', '&lt;');
}

export function code(text: string): string {
  return text === '' ? '' : `\`${text}\``;
}

export function block(language: string, text: string): string {
  return `\`\`\`${language}\n${text.trimEnd()}\n\`\`\``;
}
