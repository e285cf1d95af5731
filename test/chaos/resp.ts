/**
 * Finds where replies of Redis end, in RESP2 and RESP3, without building them: just enough to hold back, repeat or
 * drop a whole message on its way.
 */

const CR = 13;

/** Length in bytes of the first complete reply at an offset, or 0 where it is not complete yet. */
export function replyLength(data: Buffer, from = 0): number {
  const end = replyEnd(data, from);
  return end < 0 ? 0 : end - from;
}

function replyEnd(data: Buffer, from: number): number {
  const lineEnd = data.indexOf(CR, from);
  if (lineEnd < 0 || lineEnd + 1 >= data.length) return -1;
  const next = lineEnd + 2;
  const type = String.fromCharCode(data[from] ?? 0);
  const count = Number(data.toString('latin1', from + 1, lineEnd));
  if ('$!='.includes(type)) return blobEnd(data, next, count);
  if ('*>~'.includes(type)) return itemsEnd(data, next, count);
  if ('%|'.includes(type)) return itemsEnd(data, next, count * 2);
  return next;
}

function blobEnd(data: Buffer, from: number, bytes: number): number {
  if (bytes < 0) return from;
  const end = from + bytes + 2;
  return end <= data.length ? end : -1;
}

function itemsEnd(data: Buffer, from: number, count: number): number {
  let end = from;
  for (let i = 0; i < count; i++) {
    end = end < data.length ? replyEnd(data, end) : -1;
    if (end < 0) return -1;
  }
  return end;
}

/** Cuts a stream into whole replies. */
export class ReplyCutter {
  #rest: Buffer = Buffer.alloc(0);

  push(data: Buffer): Buffer[] {
    this.#rest = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    const replies: Buffer[] = [];
    for (;;) {
      const length = this.#rest.length === 0 ? 0 : replyLength(this.#rest);
      if (length === 0) return replies;
      replies.push(this.#rest.subarray(0, length));
      this.#rest = this.#rest.subarray(length);
    }
  }
}
