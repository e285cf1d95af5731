import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

export type Contents<Name extends string> = Readonly<Partial<Record<Name, Buffer>>>;

export interface WatchedFilesOptions<Name extends string> {
  /** Those that are undefined are not read. */
  readonly files: Readonly<Partial<Record<Name, string | undefined>>>;
  /** Takes changed contents. @throws Error where they cannot be used */
  readonly take: (contents: Contents<Name>) => void;
  /** Told once of contents that cannot be used, or of files that cannot be read. */
  readonly failed: (error: unknown) => void;
  readonly everyMs?: number;
}

/** A mounted Secret changes by a link that is swapped, of which no event tells. */
const EVERY_MS = 1_000;

/**
 * Small files that are read again and again, and belong together. What is read while they are being replaced may not fit:
 * so only what stands at two looks in a row is reported as a failure.
 */
export class WatchedFiles<Name extends string> {
  readonly #options: WatchedFilesOptions<Name>;
  readonly #paths: readonly (readonly [Name, string])[];
  #taken: readonly Buffer[] = [];
  #refused: string | undefined;
  #reported = false;
  #timer: NodeJS.Timeout | undefined;
  #looking = false;

  constructor(options: WatchedFilesOptions<Name>) {
    this.#options = options;
    const { files } = options;
    // Object.keys loses the names' type.
    const names = Object.keys(files) as Name[];
    this.#paths = names.flatMap((name) => {
      const path = files[name];
      return path === undefined ? [] : [[name, path] as const];
    });
  }

  /** Reads and takes them now, for the start. @throws Error */
  load(): void {
    const buffers = this.#paths.map(([, path]) => readFileSync(path));
    this.#options.take(this.#named(buffers));
    this.#taken = buffers;
  }

  /** Looks at them from now on, and keeps no process alive for that. */
  watch(): void {
    if (this.#paths.length === 0) return;
    const { everyMs = EVERY_MS } = this.#options;
    this.#timer ??= setInterval(() => void this.look(), everyMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Looks once. Never throws. */
  async look(): Promise<void> {
    // A volume that hangs must not gather readers.
    if (this.#looking) return;
    this.#looking = true;
    try {
      const buffers = await Promise.all(this.#paths.map(([, path]) => readFile(path)));
      if (isSame(buffers, this.#taken)) {
        this.#refused = undefined;
        return;
      }
      this.#take(buffers);
    } catch (error) {
      this.#refuse(String(error), error);
    } finally {
      this.#looking = false;
    }
  }

  #take(buffers: readonly Buffer[]): void {
    try {
      this.#options.take(this.#named(buffers));
      this.#taken = buffers;
      this.#refused = undefined;
    } catch (error) {
      this.#refuse(buffers.map((bytes) => bytes.toString('latin1')).join('\0'), error);
    }
  }

  #refuse(what: string, error: unknown): void {
    if (this.#refused !== what) {
      this.#refused = what;
      this.#reported = false;
      return;
    }
    if (this.#reported) return;
    this.#reported = true;
    this.#options.failed(error);
  }

  #named(buffers: readonly Buffer[]): Contents<Name> {
    // What fromEntries gives has the names that it was given.
    return Object.fromEntries(this.#paths.map(([name], i) => [name, buffers[i]])) as Contents<Name>;
  }
}

function isSame(some: readonly Buffer[], others: readonly Buffer[]): boolean {
  return some.length === others.length && some.every((bytes, i) => others[i]?.equals(bytes) === true);
}
