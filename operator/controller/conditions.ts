import type { Condition, ConditionType } from '../../api/tier-status.ts';

/** A condition as it was just found, without the time that it has been so. */
export interface Finding {
  readonly type: ConditionType;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
}

/** Findings as conditions: the time of transition is kept where the status is the same. */
export function toConditions(
  findings: readonly Finding[],
  before: readonly Condition[],
  generation: number,
  now: string,
): Condition[] {
  return findings.map((finding) => {
    const old = before.find((condition) => condition.type === finding.type);
    const lastTransitionTime = old?.status === finding.status ? old.lastTransitionTime : now;
    return { ...finding, observedGeneration: generation, lastTransitionTime };
  });
}

/** Conditions whose status or reason is not what it was: what is worth an event. */
export function transitions(after: readonly Condition[], before: readonly Condition[]): Condition[] {
  return after.filter((condition) => {
    const old = before.find((other) => other.type === condition.type);
    return old?.status !== condition.status || old.reason !== condition.reason;
  });
}
