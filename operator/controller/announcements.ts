import type { Condition, ConditionType } from '../../api/tier-status.ts';
import type { EventText } from '../kube/events.ts';
import type { Change } from './children.ts';
import { transitions } from './conditions.ts';

/** How a condition's reason is told as an event. What is not listed is not worth one. */
const TELL: Readonly<Record<string, { type: EventText['type']; reason: string; action: string }>> = {
  'Ready/AgentsReady': { type: 'Normal', reason: 'AgentsReady', action: 'Observe' },
  'Ready/AgentsNotReady': { type: 'Warning', reason: 'AgentsNotReady', action: 'Observe' },
  'Ready/NoMatchingNodes': { type: 'Warning', reason: 'NoMatchingNodes', action: 'SelectNodes' },
  'ConfigAccepted/Invalid': { type: 'Warning', reason: 'SpecInvalid', action: 'ReadSpec' },
  'ConfigAccepted/NameTaken': { type: 'Warning', reason: 'NameTaken', action: 'Apply' },
  'ConfigAccepted/CertificateRefused': { type: 'Warning', reason: 'CertificateRefused', action: 'Issue' },
  'ConfigAccepted/TokenReviewRefused': { type: 'Warning', reason: 'TokenReviewRefused', action: 'Bind' },
  'ConfigAccepted/IssuerMissing': { type: 'Warning', reason: 'IssuerMissing', action: 'Issue' },
  'ConfigAccepted/RefusedByAgent': { type: 'Warning', reason: 'ConfigRefusedByAgent', action: 'Configure' },
  'RolloutComplete/PodsUpdating': { type: 'Normal', reason: 'RolloutStarted', action: 'Rollout' },
  'RolloutComplete/Complete': { type: 'Normal', reason: 'RolloutComplete', action: 'Rollout' },
  'RedisReachable/Disconnected': { type: 'Warning', reason: 'RedisUnreachable', action: 'Observe' },
  'RedisReachable/PartlyDisconnected': { type: 'Warning', reason: 'RedisPartlyReachable', action: 'Observe' },
  'RedisReachable/Connected': { type: 'Normal', reason: 'RedisReachable', action: 'Observe' },
  'MemoryPressure/MemoryShort': { type: 'Warning', reason: 'MemoryPressure', action: 'Observe' },
  'CertificateValid/Expired': { type: 'Warning', reason: 'CertificateExpired', action: 'Observe' },
  'CertificateValid/EndsSoon': { type: 'Warning', reason: 'CertificateEndsSoon', action: 'Observe' },
  'Paused/Annotated': { type: 'Normal', reason: 'Paused', action: 'Pause' },
  'NodeOverlap/SharedNodes': { type: 'Normal', reason: 'NodeOverlap', action: 'SelectNodes' },
};

/** Events for what has changed between two lists of conditions. */
export function conditionEvents(after: readonly Condition[], before: readonly Condition[]): EventText[] {
  const events = transitions(after, before).flatMap((condition) => {
    const tell = TELL[`${condition.type}/${condition.reason}`];
    return tell === undefined ? [] : [{ ...tell, note: condition.message }];
  });
  if (hasEnded('Paused', after, before))
    events.push({
      type: 'Normal',
      reason: 'Resumed',
      action: 'Pause',
      note: 'Changes are carried out again.',
    });
  if (hasEnded('MemoryPressure', after, before))
    events.push({
      type: 'Normal',
      reason: 'MemoryPressureEnded',
      action: 'Observe',
      note: 'Every agent asked may keep in memory what is configured again.',
    });
  return events;
}

function hasEnded(type: ConditionType, after: readonly Condition[], before: readonly Condition[]): boolean {
  const status = (list: readonly Condition[]) => list.find((c) => c.type === type)?.status;
  return status(before) === 'True' && status(after) === 'False';
}

/** A certificate was made: worth knowing when clients complain at that very moment. */
export function certificateEvent(why: string, endsAt: Date): EventText {
  const note = `Made a certificate for the agents, because ${why}. It ends at ${endsAt.toISOString()}.`;
  return { type: 'Normal', reason: 'CertificateMade', action: 'Issue', note };
}

/** Events for what was done to children. One for all that were made at once. */
export function changeEvents(changes: readonly Change[]): EventText[] {
  const of = (outcome: Change['outcome']) => changes.filter((change) => change.outcome === outcome);
  const created = of('created');
  const events: EventText[] = created.length === 0 ? [] : [createdEvent(created)];
  for (const { kind, name } of of('corrected')) {
    const note = `${kind} '${name}' had been changed by somebody else and was put back as the tier says.`;
    events.push({ type: 'Warning', reason: 'DriftCorrected', action: 'Apply', note });
  }
  for (const { kind, name } of of('pruned')) {
    const note = `Deleted ${kind} '${name}', which the tier no longer stands for.`;
    events.push({ type: 'Normal', reason: 'Pruned', action: 'Prune', note });
  }
  return events;
}

function createdEvent(created: readonly Change[]): EventText {
  const names = created.map(({ kind, name }) => `${kind} '${name}'`).join(', ');
  return { type: 'Normal', reason: 'Created', action: 'Apply', note: `Created ${names}.` };
}
