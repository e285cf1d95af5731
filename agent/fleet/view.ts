import { GONE_MS } from './beacon.ts';
import type { FleetMember } from './directory.ts';

export type MemberState = 'ready' | 'degraded' | 'unready' | 'gone';

export interface ViewedMember extends FleetMember {
  readonly state: MemberState;
}

/**
 * The fleet as people shall see it: who is silent is gone, whatever it last said of itself; and one that is gone is
 * left out where its node has an agent again.
 */
export function viewFleet(members: readonly FleetMember[]): ViewedMember[] {
  const seen = members.map((member) => ({ ...member, state: stateOf(member) }));
  const staffed = new Set(seen.filter(({ state }) => state !== 'gone').map(placeOf));
  return seen
    .filter((member) => member.state !== 'gone' || !staffed.has(placeOf(member)))
    .sort((a, b) => placeOf(a).localeCompare(placeOf(b)) || a.id.localeCompare(b.id));
}

function stateOf({ ageMs, ready, status }: FleetMember): MemberState {
  if (ageMs > GONE_MS) return 'gone';
  if (!ready) return 'unready';
  return status === 'healthy' ? 'ready' : 'degraded';
}

function placeOf({ region, tier, node }: FleetMember): string {
  return JSON.stringify([region, tier, node]);
}
