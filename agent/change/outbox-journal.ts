import { closeSync, fsyncSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Encryption } from '../l2/encryption-keys.ts';
import type { ChangePart } from '../l2/l2.ts';

/** Where queued changes stand so that they outlive the process. */
export interface OutboxJournal {
  /** Parts that were added and not done, oldest first. */
  load(): ChangePart[];
  /** Returns when they are on the disk. @throws Error where they cannot be written: then nothing is accepted. */
  add(parts: readonly ChangePart[]): void;
  done(part: ChangePart): void;
  close(): void;
}

const scope = z.object({ namespace: z.string(), key: z.string() });
const partSchema = z.object({
  partition: z.number(),
  eventId: z.string(),
  body: z.string(),
  put: scope
    .extend({
      value: z.string(),
      ttlMs: z.number(),
      tags: z.array(z.string()),
      ifVersion: z.string(),
      base: z.string(),
      push: z.boolean().default(false),
      compressAboveBytes: z.number().default(0),
      sealed: z.boolean().default(false),
    })
    .optional(),
  keys: z.array(scope),
  tagMarkers: z.array(z.object({ namespace: z.string(), tag: z.string() })),
  namespaceMarkers: z.array(z.string()),
  minReplicas: z.number(),
  confirm: z.boolean(),
});
const lineSchema = z.union([
  z.object({ add: partSchema }),
  z.object({ done: z.object({ partition: z.number(), eventId: z.string() }) }),
]);

/**
 * A file of JSON lines: what was added, what is done. A torn last line, from a crash in the middle of writing, was never
 * acknowledged and is passed over. When nothing waits the file is emptied.
 */
export class FileJournal implements OutboxJournal {
  readonly #file: number;
  readonly #path: string;
  readonly #encryption: Encryption | undefined;
  #waiting = 0;

  /**
   * @param encryption seals values of encrypted namespaces; left out, nothing is sealed.
   * @throws Error where the folder cannot be used.
   */
  constructor(folder: string, cacheId: string, encryption?: Encryption) {
    this.#encryption = encryption;
    mkdirSync(folder, { recursive: true });
    this.#path = join(folder, `outbox-${cacheId}.jsonl`);
    this.#file = openSync(this.#path, 'a+');
  }

  load(): ChangePart[] {
    const waiting = new Map<string, ChangePart>();
    for (const text of readFileSync(this.#path, 'utf8').split('\n')) {
      const line = parseLine(text);
      if (line === undefined) continue;
      if ('done' in line) waiting.delete(nameOf(line.done));
      else waiting.set(nameOf(line.add), this.#toPart(line.add));
    }
    this.#waiting = waiting.size;
    this.#emptyIfDone();
    return [...waiting.values()];
  }

  add(parts: readonly ChangePart[]): void {
    const lines = parts.map((part) => `${JSON.stringify({ add: { ...part, ...this.#toPut(part) } })}\n`);
    writeSync(this.#file, lines.join(''));
    fsyncSync(this.#file);
    this.#waiting += parts.length;
  }

  done({ partition, eventId }: ChangePart): void {
    // Not synced: sending again what was sent has no effect, the event id sees to that.
    writeSync(this.#file, `${JSON.stringify({ done: { partition, eventId } })}\n`);
    this.#waiting -= 1;
    this.#emptyIfDone();
  }

  close(): void {
    closeSync(this.#file);
  }

  /** What stands in a file on a disk is at rest, as in Redis. */
  #toPut({ put, eventId }: ChangePart): object {
    if (put === undefined) return {};
    const { namespace, key, value } = put;
    const encryption = this.#encryption?.isOn(namespace) === true ? this.#encryption : undefined;
    const bytes = encryption?.seal(value, { namespace, key, header: headerOf(eventId) }) ?? value;
    return { put: { ...put, value: bytes.toString('base64'), sealed: encryption !== undefined } };
  }

  /** A value whose key is gone is lost; that there was a change is not: what it would have replaced is invalidated. */
  #toPart({ put, ...part }: z.infer<typeof partSchema>): ChangePart {
    if (put === undefined) return part;
    const { sealed, ...rest } = put;
    const { namespace, key } = put;
    const bytes = Buffer.from(put.value, 'base64');
    const header = headerOf(part.eventId);
    const value = sealed ? this.#encryption?.open(bytes, { namespace, key, header }) : bytes;
    if (value === undefined) return { ...part, keys: [...part.keys, { namespace, key }] };
    return { ...part, put: { ...rest, value } };
  }

  #emptyIfDone(): void {
    if (this.#waiting === 0) ftruncateSync(this.#file);
  }
}

function parseLine(text: string): z.infer<typeof lineSchema> | undefined {
  if (text === '') return undefined;
  try {
    return lineSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function headerOf(eventId: string): string {
  return `outbox ${eventId}`;
}

function nameOf({ partition, eventId }: { partition: number; eventId: string }): string {
  return `${partition}:${eventId}`;
}
