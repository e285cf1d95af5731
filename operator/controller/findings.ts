import type { FleetSummary } from '../agents/fleet-summary.ts';
import type { Finding } from './conditions.ts';
import type { Overlap } from './node-overlap.ts';

/** Counts of a DaemonSet, as its controller last wrote them. */
export interface RolloutCounts {
  readonly desired: number;
  readonly ready: number;
  readonly updated: number;
  readonly available: number;
  /** Whether the counts are about the newest template. */
  readonly isCurrent: boolean;
}

/** What is to be said about certificates. */
export interface TlsObservation {
  /** Secret that agents have theirs from. */
  readonly secretName: string;
  readonly now: number;
}

/** Everything that the conditions of a tier follow from. */
export interface Observation {
  /** Why the spec cannot be used; undefined: it can. */
  readonly problem?: { readonly reason: string; readonly message: string };
  readonly isPaused: boolean;
  readonly rollout: RolloutCounts | undefined;
  readonly fleet: FleetSummary;
  /** Undefined: the tier wants no TLS. */
  readonly tls?: TlsObservation;
  readonly overlap: Overlap;
  /** In words, for when no node is found. */
  readonly nodeSelector: string;
}

/** The findings for a tier, `Ready` first, which sums up the others. Pure. */
export function findingsOf(observation: Observation): Finding[] {
  const config = configAccepted(observation);
  const redis = redisReachable(observation.fleet);
  return [
    ready(observation, config, redis),
    config,
    rolloutComplete(observation),
    redis,
    paused(observation.isPaused),
    nodeOverlap(observation.overlap),
    memoryPressure(observation.fleet),
    ...certificateValid(observation),
  ];
}

function ready(
  { rollout, isPaused, nodeSelector, tls }: Observation,
  config: Finding,
  redis: Finding,
): Finding {
  const no = (reason: string, message: string): Finding => ({
    type: 'Ready',
    status: 'False',
    reason,
    message,
  });
  if (config.status === 'False') return no(config.reason, config.message);
  if (rollout === undefined) {
    return isPaused
      ? no(
          'Paused',
          'The tier was paused before its agents were made; remove the annotation edgecache.dev/paused.',
        )
      : no('Creating', 'The agents are being made.');
  }
  if (rollout.desired === 0 && rollout.isCurrent)
    return no(
      'NoMatchingNodes',
      `No node has ${nodeSelector}. Label the nodes so, or set spec.nodeSelector.`,
    );
  if (rollout.desired === 0) return no('Creating', 'The agents are being made.');
  if (rollout.ready < rollout.desired)
    return no('AgentsNotReady', `${rollout.ready} of ${agents(rollout.desired)} ready.${waitingFor(tls)}`);
  if (redis.status === 'False' && redis.reason === 'Disconnected')
    return no('RedisUnreachable', redis.message);
  return {
    type: 'Ready',
    status: 'True',
    reason: 'AgentsReady',
    message: rollout.desired === 1 ? 'The agent is ready.' : `All ${rollout.desired} agents are ready.`,
  };
}

function configAccepted({ problem, fleet }: Observation): Finding {
  const no = (reason: string, message: string): Finding => ({
    type: 'ConfigAccepted',
    status: 'False',
    reason,
    message,
  });
  if (problem !== undefined) return no(problem.reason, problem.message);
  if (fleet.refusal !== undefined) return no('RefusedByAgent', `Refused by ${fleet.refusal}`);
  return { type: 'ConfigAccepted', status: 'True', reason: 'Valid', message: 'The spec is valid.' };
}

function rolloutComplete({ rollout, fleet }: Observation): Finding {
  const no = (reason: string, message: string): Finding => ({
    type: 'RolloutComplete',
    status: 'False',
    reason,
    message,
  });
  if (rollout === undefined || !rollout.isCurrent)
    return no('WaitingForDaemonSet', 'The DaemonSet’s controller has not yet seen the newest template.');
  if (rollout.updated < rollout.desired)
    return no('PodsUpdating', `${rollout.updated} of ${agents(rollout.desired)} run the newest template.`);
  if (rollout.available < rollout.desired)
    return no('PodsStarting', `${rollout.available} of ${agents(rollout.desired)} available.`);
  if (fleet.configured < rollout.desired) return no('ConfigSpreading', spreading(fleet, rollout.desired));
  return {
    type: 'RolloutComplete',
    status: 'True',
    reason: 'Complete',
    message: 'Every agent runs the newest template and configuration.',
  };
}

function spreading(fleet: FleetSummary, desired: number): string {
  const words = `${fleet.configured} of ${agents(desired)} have confirmed the newest configuration.`;
  return fleet.failure === undefined ? words : `${words} Last problem: ${fleet.failure}`;
}

function redisReachable({ sampled, redisConnected }: FleetSummary): Finding {
  const finding = (status: Finding['status'], reason: string, message: string): Finding => ({
    type: 'RedisReachable',
    status,
    reason,
    message,
  });
  if (sampled === 0) return finding('Unknown', 'NoStatistics', 'No agent has given statistics yet.');
  if (redisConnected === sampled)
    return finding('True', 'Connected', 'Every agent asked is connected to Redis.');
  if (redisConnected === 0)
    return finding(
      'False',
      'Disconnected',
      'No agent asked is connected to Redis; check spec.redis and its password.',
    );
  return finding(
    'False',
    'PartlyDisconnected',
    `${sampled - redisConnected} of ${agents(sampled)} asked are not connected to Redis.`,
  );
}

/** Agents keep on serving: a reason to look, none to be not ready. */
function memoryPressure({ sampled, shortOfMemory, shortestNode }: FleetSummary): Finding {
  const finding = (status: Finding['status'], reason: string, message: string): Finding => ({
    type: 'MemoryPressure',
    status,
    reason,
    message,
  });
  if (sampled === 0) return finding('Unknown', 'NoStatistics', 'No agent has given statistics yet.');
  if (shortOfMemory === 0)
    return finding('False', 'EnoughMemory', 'Every agent asked may keep what is configured.');
  const whose = shortestNode === undefined ? '' : `, least on node '${shortestNode}'`;
  return finding(
    'True',
    'MemoryShort',
    `${shortOfMemory} of ${agents(sampled)} asked keep less in memory than configured${whose}, because memory runs short: raise spec.resources.limits.memory, or lower spec.l1.`,
  );
}

/** The operator does not see whether a Secret is there; pods that start without it just wait. */
function waitingFor(tls: TlsObservation | undefined): string {
  return tls === undefined ? '' : ` New ones wait for Secret '${tls.secretName}' where it is missing.`;
}

/** Renewal is due long before: somebody should look. */
const ENDS_SOON_MS = 7 * 86_400_000;

function certificateValid({ tls, fleet }: Observation): Finding[] {
  if (tls === undefined) return [];
  const finding = (status: Finding['status'], reason: string, message: string): Finding[] => [
    { type: 'CertificateValid', status, reason, message },
  ];
  const { certificateEndsAt } = fleet;
  if (certificateEndsAt === undefined)
    return finding('Unknown', 'NotShown', 'No agent asked has shown a certificate yet.');
  const end = `of Secret '${tls.secretName}' as an agent shows it`;
  const at = new Date(certificateEndsAt).toISOString();
  if (certificateEndsAt <= tls.now)
    return finding('False', 'Expired', `The certificate ${end} ended at ${at}: clients refuse it. Renew it.`);
  if (certificateEndsAt - tls.now < ENDS_SOON_MS)
    return finding('True', 'EndsSoon', `The certificate ${end} ends at ${at}, and was not renewed in time.`);
  return finding('True', 'Valid', `The certificate ${end} is valid until ${at}.`);
}

function paused(isPaused: boolean): Finding {
  return isPaused
    ? {
        type: 'Paused',
        status: 'True',
        reason: 'Annotated',
        message: 'Nothing is changed in the cluster while the annotation edgecache.dev/paused is "true".',
      }
    : { type: 'Paused', status: 'False', reason: 'NotAnnotated', message: 'Changes are carried out.' };
}

/** Allowed: a person may want it. But it is also what a mistaken selector looks like, so it is said. */
function nodeOverlap({ nodes, others }: Overlap): Finding {
  if (others.length === 0)
    return { type: 'NodeOverlap', status: 'False', reason: 'NoSharedNodes', message: 'No node is shared.' };
  const shown = others.slice(0, 5).map((other) => `'${other}'`);
  const more = others.length > shown.length ? ` and ${others.length - shown.length} more` : '';
  // Chosen, not run: taints may keep agents of either off a node that both select.
  const chosen = nodes === 1 ? 'One node is' : `${nodes} nodes are`;
  return {
    type: 'NodeOverlap',
    status: 'True',
    reason: 'SharedNodes',
    message: `${chosen} selected by ${shown.join(', ')}${more} as well.`,
  };
}

function agents(count: number): string {
  return count === 1 ? '1 agent' : `${count} agents`;
}
