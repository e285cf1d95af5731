import type { Logger } from 'pino';
import { InvalidInputError } from '../../api/errors.ts';
import { type EdgeCacheTier, parseTier } from '../../api/tier.ts';
import type { AgentFleet } from '../agents/fleet.ts';
import type { TierCertificate, TierCertificates } from '../certificates/tier-certificates.ts';
import {
  CertificateRefusedError,
  IssuerMissingError,
  isNotFound,
  messageOf,
  NameTakenError,
  TokenReviewRefusedError,
} from '../errors.ts';
import { applyStatus } from '../kube/apply.ts';
import type { KubeClient } from '../kube/client.ts';
import type { EventRecorder } from '../kube/events.ts';
import { type KubeObject, splitKey } from '../kube/object.ts';
import { DAEMON_SETS, TIERS } from '../kube/resources.ts';
import { type AgentConfigFile, buildAgentFile } from '../manifests/agent-file.ts';
import type { BuildSettings } from '../manifests/context.ts';
import { nodeSelectorOf } from '../manifests/daemon-set.ts';
import { desiredChildren } from '../manifests/desired.ts';
import { childName, PAUSED_ANNOTATION } from '../manifests/names.ts';
import { isOwnCertificate, tlsSecretOf } from '../manifests/tls-mount.ts';
import { certificateEvent, changeEvents, conditionEvents } from './announcements.ts';
import type { Change, ChildCache, Children } from './children.ts';
import type { Observation } from './findings.ts';
import type { NodeOverlap } from './node-overlap.ts';
import { conditionsOf, isSameStatus, liveStatus, rolloutCountsOf, statusOf } from './status.ts';
import type { TokenReviewers } from './token-reviewers.ts';

export interface ReconcilerOptions {
  readonly client: KubeClient;
  readonly tiers: { get(key: string): KubeObject | undefined };
  readonly cache: ChildCache;
  readonly children: Children;
  readonly certificates: TierCertificates;
  readonly reviewers: TokenReviewers;
  readonly fleet: AgentFleet;
  readonly overlap: NodeOverlap;
  readonly events: EventRecorder;
  /** As they are now: whether the cluster knows ServiceMonitors may change. */
  readonly settings: () => BuildSettings;
}

/** What a spec comes to: something to run by, or a problem to tell. */
type Reading =
  | { readonly tier: EdgeCacheTier; readonly file: AgentConfigFile }
  | { readonly problem: NonNullable<Observation['problem']> };

/** Makes the cluster what a tier says, and the tier's status what the cluster is. Looks at everything anew each time. */
export class TierReconciler {
  readonly #options: ReconcilerOptions;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  async reconcile(key: string, logger: Logger, signal: AbortSignal): Promise<void> {
    const object = this.#options.tiers.get(key);
    // Children have owner references: the cluster's garbage collector deletes them.
    if (object === undefined || object.metadata.deletionTimestamp !== undefined) {
      this.#forget(key);
      await this.#options.reviewers.ensure(signal);
      return;
    }
    const isPaused = object.metadata.annotations?.[PAUSED_ANNOTATION] === 'true';
    let reading = this.#read(object);
    let failure: unknown;
    if ('tier' in reading && !isPaused) {
      try {
        await this.#carryOut(object, reading, logger, signal);
      } catch (error) {
        const reason = reasonOf(error);
        if (reason !== undefined) reading = { problem: { reason, message: messageOf(error) } };
        failure = error;
      }
    }
    // A spec that cannot be used, and a pause, leave running agents as they are.
    if ('problem' in reading || isPaused) this.#options.fleet.setConfig(key, undefined);
    await this.#writeStatus(key, object, reading, isPaused, logger, signal);
    if (failure !== undefined) throw failure;
  }

  #forget(key: string): void {
    const { namespace, name } = splitKey(key);
    this.#options.fleet.forget(key);
    this.#options.children.forget(namespace, name);
    this.#options.certificates.forget(key);
  }

  #read(object: KubeObject): Reading {
    try {
      const tier = parseTier(object, `EdgeCacheTier '${object.metadata.name}'`);
      return { tier, file: buildAgentFile(object, tier, this.#options.settings().reloadKey) };
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      return { problem: { reason: 'Invalid', message: error.message } };
    }
  }

  async #carryOut(
    object: KubeObject,
    { tier, file }: { tier: EdgeCacheTier; file: AgentConfigFile },
    logger: Logger,
    signal: AbortSignal,
  ): Promise<void> {
    const { children, events, fleet, settings } = this.#options;
    if (tier.spec.security.tls.issuerRef !== undefined) this.#requireIssuer();
    // Also where this tier needs it no more.
    await this.#options.reviewers.ensure(signal);
    const certificate = await this.#certificateOf(object, tier, signal);
    const trust = certificate === undefined ? {} : { trust: certificate.bundle };
    const wanted = desiredChildren({ object, tier, file, settings: settings(), ...trust });
    const changes: Change[] = [];
    try {
      for (const child of wanted) {
        changes.push(await children.ensure(child, object.metadata.uid, signal));
        // Running agents need not wait for the rest: what they start by is safe in the ConfigMap.
        if (child.kind === 'ConfigMap' && child.metadata.name === childName(object.metadata.name))
          fleet.setConfig(`${object.metadata.namespace}/${object.metadata.name}`, file);
      }
      changes.push(...(await children.prune(object, wanted, signal)));
    } finally {
      const done = changes.filter((change) => change.outcome !== 'unchanged');
      if (done.length > 0) logger.info({ changes: done }, 'children changed');
      for (const event of changeEvents(changes)) events.record(object, event);
    }
  }

  /** @throws IssuerMissingError */
  #requireIssuer(): void {
    const { hasCertificates } = this.#options.settings();
    if (hasCertificates === undefined)
      throw new Error('whether the cluster has cert-manager is not known yet');
    if (!hasCertificates) throw new IssuerMissingError();
  }

  /** The certificate that the operator makes; undefined: it makes none for this tier. */
  async #certificateOf(
    object: KubeObject,
    tier: EdgeCacheTier,
    signal: AbortSignal,
  ): Promise<TierCertificate | undefined> {
    if (!isOwnCertificate(tier)) return undefined;
    const certificate = await this.#options.certificates.ensure(object, signal);
    if (certificate.madeBecause !== undefined)
      this.#options.events.record(object, certificateEvent(certificate.madeBecause, certificate.endsAt));
    return certificate;
  }

  async #writeStatus(
    key: string,
    object: KubeObject,
    reading: Reading,
    isPaused: boolean,
    logger: Logger,
    signal: AbortSignal,
  ): Promise<void> {
    const before = liveStatus(object);
    const status = statusOf({
      object,
      tier: 'tier' in reading ? reading.tier : undefined,
      configHash: 'tier' in reading ? reading.file.hash : before.configHash,
      observation: this.#observe(key, object, reading, isPaused),
      now: new Date(),
    });
    if (isSameStatus(status, before)) return;
    try {
      await applyStatus(this.#options.client, TIERS, object, status, signal);
    } catch (error) {
      if (isNotFound(error)) return; // deleted meanwhile
      throw error;
    }
    logger.debug({ status }, 'status written');
    for (const event of conditionEvents(status.conditions ?? [], conditionsOf(object)))
      this.#options.events.record({ ...object, apiVersion: TIERS.apiVersion, kind: TIERS.kind }, event);
  }

  #observe(key: string, object: KubeObject, reading: Reading, isPaused: boolean): Observation {
    const { cache, fleet, overlap } = this.#options;
    const { namespace, name } = object.metadata;
    const daemonSet = cache.get(DAEMON_SETS.kind, `${namespace}/${childName(name)}`);
    return {
      ...('problem' in reading ? { problem: reading.problem } : {}),
      isPaused,
      rollout: rolloutCountsOf(daemonSet),
      fleet: fleet.summary(key),
      overlap: overlap.of(key),
      ...tlsOf(reading),
      nodeSelector: 'tier' in reading ? selectorText(reading.tier) : 'the labels of spec.nodeSelector',
    };
  }
}

/** What a failure is called in a condition, where a person must do something about it. */
function reasonOf(error: unknown): string | undefined {
  if (error instanceof NameTakenError) return 'NameTaken';
  if (error instanceof CertificateRefusedError) return 'CertificateRefused';
  if (error instanceof TokenReviewRefusedError) return 'TokenReviewRefused';
  return error instanceof IssuerMissingError ? 'IssuerMissing' : undefined;
}

function tlsOf(reading: Reading): Pick<Observation, 'tls'> {
  const secretName = 'tier' in reading ? tlsSecretOf(reading.tier) : undefined;
  return secretName === undefined ? {} : { tls: { secretName, now: Date.now() } };
}

function selectorText(tier: EdgeCacheTier): string {
  const labels = Object.entries(nodeSelectorOf(tier.spec)).map(([name, value]) => `${name}=${value}`);
  return labels.length === 0
    ? 'no label at all'
    : `the label${labels.length > 1 ? 's' : ''} ${labels.join(', ')}`;
}
