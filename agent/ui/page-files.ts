import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

export interface PageFile {
  readonly type: string;
  readonly bytes: Buffer;
  /** Names the content, so that a browser fetches it once. */
  readonly tag: string;
}

const HTML = 'text/html; charset=utf-8';
const CSS = 'text/css; charset=utf-8';
const SCRIPT = 'text/javascript; charset=utf-8';
const SVG = 'image/svg+xml';

/** All that there is, by the name that it is asked for: no path of a request ever reaches the file system. */
const FILES: Readonly<Record<string, readonly [file: string, type: string]>> = {
  '': ['index.html', HTML],
  'style.css': ['style.css', CSS],
  'icon.svg': ['icon.svg', SVG],
  'app.js': ['app.js', SCRIPT],
  'api.js': ['api.js', SCRIPT],
  'chart.js': ['chart.js', SCRIPT],
  'dom.js': ['dom.js', SCRIPT],
  'events.js': ['events.js', SCRIPT],
  'fleet.js': ['fleet.js', SCRIPT],
  'format.js': ['format.js', SCRIPT],
  'key.js': ['key.js', SCRIPT],
  'namespaces.js': ['namespaces.js', SCRIPT],
  'sign-in.js': ['sign-in.js', SCRIPT],
};

/** The page’s files, read when they are first asked for: most agents are never looked at. */
export class PageFiles {
  readonly #read = new Map<string, PageFile>();

  get(name: string): PageFile | undefined {
    const [file, type] = Object.hasOwn(FILES, name) ? (FILES[name] ?? []) : [];
    if (file === undefined || type === undefined) return undefined;
    const known = this.#read.get(name);
    if (known !== undefined) return known;
    const bytes = readFileSync(new URL(`./page/${file}`, import.meta.url));
    const tag = `"${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}"`;
    const read = { type, bytes, tag };
    this.#read.set(name, read);
    return read;
  }
}
