import type { StatsResponse } from '../../client/edge-cache-client.ts';

/** What people come to a doctor with. */
export const COMPLAINTS = ['stale data', 'high memory', 'slow lookups'] as const;
export type Complaint = (typeof COMPLAINTS)[number];

export interface Finding {
  readonly complaint: Complaint;
  readonly level: 'warning' | 'error';
  /** Agent that it was found on. */
  readonly agent: string;
  readonly evidence: string;
  readonly cause: string;
  readonly remedy: string;
}

/** What a check of one agent finds. */
export type Said = Omit<Finding, 'agent' | 'complaint'>;
export type Check = (stats: StatsResponse) => Said | undefined;

/** An agent that has answered. */
export interface Examined {
  readonly name: string;
  readonly value: StatsResponse;
}

/** Fewer lookups than this say nothing of a ratio. */
export const ENOUGH_LOOKUPS = 1_000;

/** Agents say in words what is wrong with Redis: agent/redis/rights.ts. */
export function isOfRights(problem: string): boolean {
  return problem.includes('the user of Redis lacks rights');
}

/** An error above one bound, a warning above another; undefined: well. */
export function levelOf(value: number, warning: number, error: number): Finding['level'] | undefined {
  if (value > error) return 'error';
  return value > warning ? 'warning' : undefined;
}
