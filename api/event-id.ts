import { randomUUID } from 'node:crypto';

/** RFC 9562 UUIDv7: milliseconds since 1970 in the first 48 bits, so that ids sort by time; the rest is random. */
export function newEventId(ms: number = Date.now()): string {
  const time = Math.floor(ms).toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}
