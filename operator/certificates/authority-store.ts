import { isConflict, isNotFound } from '../errors.ts';
import type { KubeClient } from '../kube/client.ts';
import { fieldAt, type KubeObject } from '../kube/object.ts';
import { SECRETS } from '../kube/resources.ts';
import { type Authority, rotateAuthorities, validityOf } from './rotation.ts';

/** What is read is good for so long: nobody else changes it while this replica leads. */
const REREAD_MS = 600_000;

export interface AuthorityStoreOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  readonly now: () => Date;
}

/**
 * The authorities that sign agents' certificates: one set for the operator, in a Secret of its own namespace, so that
 * their keys are not where tiers are. The chart makes that Secret empty; without the chart the operator makes it.
 */
export class AuthorityStore {
  readonly #options: AuthorityStoreOptions;
  #known: { readonly authorities: readonly Authority[]; readonly at: number } | undefined;
  #reading: Promise<readonly Authority[]> | undefined;

  constructor(options: AuthorityStoreOptions) {
    this.#options = options;
  }

  /** Those of now: rotated, and written before anybody hears of them. Several who ask at once wait for one answer. */
  current(signal: AbortSignal): Promise<readonly Authority[]> {
    const now = this.#options.now();
    const known = this.#known;
    const isFresh = known !== undefined && now.getTime() - known.at < REREAD_MS;
    if (isFresh && rotateAuthorities(known.authorities, now) === known.authorities)
      return Promise.resolve(known.authorities);
    this.#reading ??= this.#refresh(now, signal).finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /** Of the one that ends last, for metrics; undefined: there is none yet. */
  get endsAt(): Date | undefined {
    const last = this.#known?.authorities.at(-1);
    return last === undefined ? undefined : validityOf(last.certificate).notAfter;
  }

  async #refresh(now: Date, signal: AbortSignal): Promise<readonly Authority[]> {
    for (let attempt = 0; ; attempt++) {
      const secret = await this.#read(signal);
      const before = secret === undefined ? [] : authoritiesIn(secret);
      const authorities = rotateAuthorities(before, now);
      try {
        if (authorities !== before) await this.#write(secret, authorities, signal);
        this.#known = { authorities, at: now.getTime() };
        return authorities;
      } catch (error) {
        // Another replica that has just ceased to lead: what it wrote is as good.
        if (!isConflict(error) || attempt >= 3) throw error;
      }
    }
  }

  async #read(signal: AbortSignal): Promise<KubeObject | undefined> {
    const { client, namespace, name } = this.#options;
    try {
      return await client.get(SECRETS, { namespace, name }, signal);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async #write(
    secret: KubeObject | undefined,
    authorities: readonly Authority[],
    signal: AbortSignal,
  ): Promise<void> {
    const { client, namespace, name } = this.#options;
    const data = dataOf(authorities);
    if (secret !== undefined) {
      await client.replace(SECRETS, { ...secret, data }, signal);
      return;
    }
    const labels = {
      'app.kubernetes.io/name': 'edgecache-operator',
      'app.kubernetes.io/part-of': 'edgecache',
    };
    const { apiVersion, kind } = SECRETS;
    await client.create(
      SECRETS,
      { apiVersion, kind, metadata: { name, namespace, labels }, type: 'Opaque', data },
      signal,
    );
  }
}

/** `<when it was made>.crt` and `.key`, so that the order of names is the order of authorities. */
function dataOf(authorities: readonly Authority[]): Record<string, string> {
  const encode = (text: string) => Buffer.from(text).toString('base64');
  return Object.fromEntries(
    authorities.flatMap(({ certificate, key }) => {
      const name = validityOf(certificate)
        .notBefore.toISOString()
        .replace(/[-:]|\.[0-9]+/g, '');
      return [
        [`${name}.crt`, encode(certificate)],
        ...(key === undefined ? [] : [[`${name}.key`, encode(key)]]),
      ];
    }),
  );
}

function authoritiesIn(secret: KubeObject): Authority[] {
  const text = (name: string): string | undefined => {
    const value = fieldAt(secret, 'data', name);
    return typeof value === 'string' ? Buffer.from(value, 'base64').toString() : undefined;
  };
  const names = Object.keys(fieldAt(secret, 'data') ?? {}).filter((name) => name.endsWith('.crt'));
  return names.sort().flatMap((name) => {
    const certificate = text(name);
    const key = text(name.replace(/crt$/, 'key'));
    return certificate === undefined ? [] : [{ certificate, ...(key === undefined ? {} : { key }) }];
  });
}
