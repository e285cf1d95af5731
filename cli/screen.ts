import { styleText } from 'node:util';

type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

export interface ScreenOptions {
  readonly out: NodeJS.WritableStream & { readonly isTTY?: boolean | undefined };
  readonly err: NodeJS.WritableStream;
  /** Machine-readable output is wanted. */
  readonly json: boolean;
  /** Whether there shall be colours; who decides it knows whether this is a terminal. */
  readonly color: boolean;
}

/** Where answers go: tables for people, JSON for programs, colours only on a terminal. */
export class Screen {
  readonly json: boolean;
  readonly isTerminal: boolean;
  readonly #out: ScreenOptions['out'];
  readonly #err: NodeJS.WritableStream;
  readonly #color: boolean;

  constructor({ out, err, json, color }: ScreenOptions) {
    this.#out = out;
    this.#err = err;
    this.json = json;
    this.isTerminal = out.isTTY === true;
    this.#color = color;
  }

  print(line = ''): void {
    this.#out.write(`${line}\n`);
  }

  write(bytes: Uint8Array): void {
    this.#out.write(bytes);
  }

  /** Beside the answer, for people: never in the way of what is piped on. */
  note(line: string): void {
    this.#err.write(`${line}\n`);
  }

  /** One value as one line, so that many can be read as they come. */
  printJson(value: unknown): void {
    this.print(JSON.stringify(value));
  }

  clear(): void {
    if (this.isTerminal) this.#out.write('\u001b[H\u001b[2J\u001b[3J');
  }

  style(style: Style, text: string): string {
    return this.#color ? styleText(style, text, { validateStream: false }) : text;
  }

  /** The first row is the heading. Widths are of what is seen, colours aside. */
  table(rows: readonly (readonly string[])[]): void {
    const width = (cell: string) => stripColors(cell).length;
    const widths = (rows[0] ?? []).map((_, column) =>
      Math.max(...rows.map((row) => width(row[column] ?? ''))),
    );
    rows.forEach((row, at) => {
      const cells = row.map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - width(cell)));
      const line = cells.join('   ').trimEnd();
      this.print(at === 0 ? this.style('bold', line) : line);
    });
  }
}

function stripColors(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control sequences
  return text.replaceAll(/\u001b\[[0-9;]*m/g, '');
}

/** 1234567 → 1.2M, in powers of a thousand. */
export function short(count: number): string {
  if (count < 1000) return String(Math.round(count * 10) / 10);
  const power = Math.min(4, Math.floor(Math.log10(count) / 3));
  const scaled = count / 1000 ** power;
  return `${scaled >= 100 ? Math.round(scaled) : scaled.toFixed(1)}${['', 'k', 'M', 'G', 'T'][power] ?? ''}`;
}

export function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(1)} %`;
}

/** 93784000 ms → 1d2h. */
export function duration(ms: number): string {
  const units: readonly [string, number][] = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1_000],
  ];
  const at = units.findIndex(([, size]) => ms >= size);
  if (at < 0) return `${Math.round(ms)}ms`;
  const [unit, size] = units[at] ?? ['s', 1_000];
  const [lesser, lesserSize] = units[at + 1] ?? ['', 0];
  const rest = lesserSize === 0 ? 0 : Math.floor((ms % size) / lesserSize);
  return `${Math.floor(ms / size)}${unit}${rest === 0 ? '' : `${rest}${lesser}`}`;
}

/** `500ms`, `30s`, `5m`, `2h`, `1d`; undefined where it is none. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+)(ms|s|m|h|d)$/.exec(text);
  const size = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match?.[2] ?? ''];
  return size === undefined ? undefined : Number(match?.[1]) * size;
}
