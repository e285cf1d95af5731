import type { StatsResponse } from '../../client/edge-cache-client.ts';
import type { Asked } from '../agents.ts';
import { isDenied } from '../statuses.ts';
import { type Check, COMPLAINTS, type Complaint, type Examined, type Finding, type Said } from './finding.ts';
import { unevenHitRatios } from './fleet.ts';
import { HIGH_MEMORY, highMemoryFigures } from './high-memory.ts';
import { SLOW_LOOKUPS, slowLookupsFigures } from './slow-lookups.ts';
import { STALE_DATA, staleDataFigures } from './stale-data.ts';

const CHECKS: Readonly<Record<Complaint, readonly Check[]>> = {
  'stale data': STALE_DATA,
  'high memory': HIGH_MEMORY,
  'slow lookups': SLOW_LOOKUPS,
};

const FIGURES: Readonly<Record<Complaint, (found: readonly Examined[]) => string>> = {
  'stale data': staleDataFigures,
  'high memory': highMemoryFigures,
  'slow lookups': slowLookupsFigures,
};

/** What is wrong, agent by agent, worst first. */
export function examine(asked: readonly Asked<StatsResponse>[]): Finding[] {
  const silent = asked.flatMap(({ name: agent, error }): Finding[] => {
    if (error === undefined) return [];
    return [{ complaint: 'slow lookups', agent, ...whySilent(error) }];
  });
  const examined = examinedOf(asked);
  const found = [...silent, ...examined.flatMap(examineOne), ...unevenHitRatios(examined)];
  return found.sort((a, b) => rank(a) - rank(b));
}

function whySilent(error: Error): Said {
  if (isDenied(error))
    return {
      level: 'error',
      evidence: `does not say how it is: ${error.message}`,
      cause: 'statistics need the right admin on the agent',
      remedy:
        'ask with a token that has it (--token-file, EDGECACHE_TOKEN), see docs/security.md; one key is traced with read alone',
    };
  return {
    level: 'error',
    evidence: `does not answer: ${error.message}`,
    cause: 'the agent is down, not ready, or cannot be reached from here',
    remedy: 'kubectl describe its pod, and read its log; lookups of its node go to loaders meanwhile',
  };
}

/** Figures of a complaint, for those who want to see that something was looked at. */
export function figuresOf(complaint: Complaint, asked: readonly Asked<StatsResponse>[]): string {
  const found = examinedOf(asked);
  return found.length === 0 ? 'no agent answers' : FIGURES[complaint](found);
}

function examinedOf(asked: readonly Asked<StatsResponse>[]): Examined[] {
  return asked.flatMap(({ name, value }) => (value === undefined ? [] : [{ name, value }]));
}

function examineOne({ name: agent, value }: Examined): Finding[] {
  return COMPLAINTS.flatMap((complaint) =>
    CHECKS[complaint].flatMap((check) => {
      const said = check(value);
      return said === undefined ? [] : [{ complaint, agent, ...said }];
    }),
  );
}

function rank({ complaint, level }: Finding): number {
  return (level === 'error' ? 0 : COMPLAINTS.length) + COMPLAINTS.indexOf(complaint);
}
