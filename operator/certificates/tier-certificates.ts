import { CertificateRefusedError, isNotFound, KubeError, NameTakenError } from '../errors.ts';
import { apply } from '../kube/apply.ts';
import type { KubeClient } from '../kube/client.ts';
import { fieldAt, type KubeObject, keyOf } from '../kube/object.ts';
import { pathOf, SECRETS } from '../kube/resources.ts';
import {
  childLabels,
  isOwnedBy,
  ownerReference,
  RENEW_ANNOTATION,
  servingNames,
  servingSecretName,
} from '../manifests/names.ts';
import type { AuthorityStore } from './authority-store.ts';
import type { KeyPair } from './issue.ts';
import { bundleOf, newServing, readCertificate, signerOf, validityOf, whyRenew } from './rotation.ts';

/** How long a Secret that was found good is taken to be so: there is no watch on Secrets, for want of the right to it. */
const RECHECK_MS = 300_000;

export interface TierCertificate {
  /** What clients are to trust. */
  readonly bundle: string;
  readonly endsAt: Date;
  /** Why it was just made; undefined: it was good. */
  readonly madeBecause?: string;
}

interface Known {
  readonly pair: KeyPair;
  readonly renewal: string;
  readonly checkedAt: number;
  /** Undefined: what is in the Secret is no certificate. */
  readonly endsAt: Date | undefined;
}

export interface TierCertificatesOptions {
  readonly client: KubeClient;
  readonly authorities: AuthorityStore;
  readonly clusterDomain: string;
  readonly now: () => Date;
}

/** Certificates that the operator itself makes for the agents of tiers, each in a Secret beside its tier. */
export class TierCertificates {
  readonly #options: TierCertificatesOptions;
  readonly #known = new Map<string, Known>();

  constructor(options: TierCertificatesOptions) {
    this.#options = options;
  }

  /**
   * @throws NameTakenError where a Secret of the name is somebody else's
   * @throws CertificateRefusedError where the operator may not make Secrets
   */
  async ensure(tier: KubeObject, signal: AbortSignal): Promise<TierCertificate> {
    const { authorities, clusterDomain, now } = this.#options;
    const all = await authorities.current(signal);
    const signer = signerOf(all, now());
    const bundle = bundleOf(all);
    const names = servingNames(tier, clusterDomain);
    const renewal = tier.metadata.annotations?.[RENEW_ANNOTATION] ?? '';
    const known = this.#known.get(keyOf(tier)) ?? (await this.#look(tier, signal));
    const why =
      whyRenew(known?.pair ?? {}, signer, names, now()) ??
      (known?.renewal === renewal ? undefined : `${RENEW_ANNOTATION} asks for it`);
    if (why === undefined && known !== undefined) {
      if (now().getTime() - known.checkedAt >= RECHECK_MS) this.#known.delete(keyOf(tier));
      return { bundle, endsAt: validityOf(known.pair.certificate).notAfter };
    }
    const pair = newServing(signer, names, now());
    await this.#write(tier, pair, renewal, signal);
    const { notAfter: endsAt } = validityOf(pair.certificate);
    this.#known.set(keyOf(tier), { pair, renewal, checkedAt: now().getTime(), endsAt });
    return { bundle, endsAt, madeBecause: why ?? 'there is none' };
  }

  /** When each ends, by tier: for metrics. */
  *ends(): Iterable<readonly [tierKey: string, endsAt: Date]> {
    for (const [tierKey, { endsAt }] of this.#known) if (endsAt !== undefined) yield [tierKey, endsAt];
  }

  forget(tierKey: string): void {
    this.#known.delete(tierKey);
  }

  /**
   * Reads the Secret by a patch that changes nothing and is not carried out. The right to read Secrets cannot be
   * narrowed to names that begin in some way, so the operator has none; changes can, by an admission policy.
   */
  async #look(tier: KubeObject, signal: AbortSignal): Promise<Known | undefined> {
    const { namespace, name } = tier.metadata;
    const place = { namespace, name: servingSecretName(name) };
    try {
      const secret = await this.#options.client.json({
        method: 'PATCH',
        path: pathOf(SECRETS, place),
        query: { dryRun: 'All' },
        contentType: 'application/merge-patch+json',
        body: {},
        signal,
      });
      if (!isOwnedBy(secret as KubeObject, tier.metadata.uid)) throw new NameTakenError('Secret', place.name);
      const known = knownOf(secret, this.#options.now().getTime());
      this.#known.set(keyOf(tier), known);
      return known;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw refusalOf(error, place.name);
    }
  }

  async #write(tier: KubeObject, pair: KeyPair, renewal: string, signal: AbortSignal): Promise<void> {
    const { namespace = 'default', name } = tier.metadata;
    const secret: KubeObject = {
      apiVersion: SECRETS.apiVersion,
      kind: SECRETS.kind,
      metadata: {
        name: servingSecretName(name),
        namespace,
        labels: childLabels(name),
        annotations: { [RENEW_ANNOTATION]: renewal },
        ownerReferences: [ownerReference(tier)],
      },
      type: 'kubernetes.io/tls',
      data: {
        'tls.crt': Buffer.from(pair.certificate).toString('base64'),
        'tls.key': Buffer.from(pair.key).toString('base64'),
      },
    };
    await apply(this.#options.client, SECRETS, secret, signal).catch((error: unknown) => {
      throw refusalOf(error, servingSecretName(name));
    });
  }
}

function knownOf(secret: unknown, checkedAt: number): Known {
  const text = (field: string) =>
    Buffer.from(String(fieldAt(secret, 'data', field) ?? ''), 'base64').toString();
  const renewal = fieldAt(secret, 'metadata', 'annotations', RENEW_ANNOTATION);
  const pair = { certificate: text('tls.crt'), key: text('tls.key') };
  return {
    pair,
    renewal: typeof renewal === 'string' ? renewal : '',
    checkedAt,
    endsAt: readCertificate(pair.certificate)?.validToDate,
  };
}

/** In words, where it is the cluster's rules that say no. */
function refusalOf(error: unknown, name: string): unknown {
  if (!(error instanceof KubeError) || error.status !== 403) return error;
  return new CertificateRefusedError(name, error);
}
