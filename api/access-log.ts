import { z } from 'zod';

const share = (what: string, value: number) =>
  z.number().min(0).max(1).default(value).describe(`Share of ${what} that is written down, from 0 to 1.`);

/** A line in the log for who did what when. Values never stand in it. */
export const accessLogSchema = z.strictObject({
  sampleRate: share('lookups', 0.01),
  changeSampleRate: share('changes (Put, Invalidate, Publish, Fill)', 1),
  refusalSampleRate: share('calls that were refused or failed', 1),
  maxPerSecond: z
    .number()
    .int()
    .min(1)
    .max(100_000)
    .default(1000)
    .describe('Most lines in a second; what is dropped is counted in edgecache_access_log_dropped_total.'),
});

export type AccessLogSettings = z.output<typeof accessLogSchema>;
