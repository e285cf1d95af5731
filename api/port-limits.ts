import { z } from 'zod';
import { DEFAULT_MAX_VALUE_BYTES } from './namespace.ts';

const wholeNumber = (min: number, max: number, unit: string) =>
  z.number().int(`must be a whole number of ${unit}`).min(min).max(max);

/** What one caller may take of an agent, so that it cannot take it from all. */
export const limitsSchema = z.strictObject({
  maxMessageBytes: wholeNumber(256 * 1024, 64 * 1024 ** 2, 'bytes')
    .default(20 * 1024 ** 2)
    .describe('Largest request. Must leave 128 KiB beside the largest value that a namespace accepts.'),
  maxConnections: wholeNumber(2, 100_000, 'connections')
    .default(1024)
    .describe(
      'Connections to the gRPC port. One address gets half of them at most. Where there is no room, one without calls makes it.',
    ),
  maxStreamsPerConnection: wholeNumber(1, 100_000, 'streams')
    .default(1000)
    .describe('Calls that one connection may have open at once; clients let further ones wait.'),
  requestsPerSecond: wholeNumber(0, 10_000_000, 'items')
    .default(0)
    .describe(
      'Lookups, changes and other calls of one identity (of one address, where callers have no identity); each lookup of a batch and each key and tag of an invalidation is one. 0: no limit.',
    ),
  maxConnectionAgeSeconds: wholeNumber(0, 7 * 86_400, 'seconds')
    .default(3600)
    .describe(
      'A connection is asked to end when it is so old, give or take a tenth, and ended half a minute later. 0: never. Unix sockets have no age.',
    ),
});

export type PortLimits = z.output<typeof limitsSchema>;

/** Beside the value itself a request has a key, tags and an event with up to 64 KiB of data. */
const BESIDE_VALUE_BYTES = 128 * 1024;

/** Rules across fields. */
export function checkLimits(
  { maxMessageBytes }: PortLimits,
  namespaces: readonly { readonly name: string; readonly maxValueBytes?: number | undefined }[],
  fail: (path: string[], remedy: string) => void,
): void {
  for (const { name, maxValueBytes = DEFAULT_MAX_VALUE_BYTES } of namespaces) {
    const needed = maxValueBytes + BESIDE_VALUE_BYTES;
    if (needed > maxMessageBytes)
      fail(
        ['maxMessageBytes'],
        `must be at least ${needed}: namespace '${name}' accepts values of ${maxValueBytes} bytes (maxValueBytes)`,
      );
  }
}
