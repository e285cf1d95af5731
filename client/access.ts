import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type ChannelCredentials, type ClientOptions, credentials, Metadata } from '@grpc/grpc-js';
import { EdgeCacheError } from './errors.ts';
import type { EdgeCacheClientOptions } from './options.ts';
import { ClientTls } from './tls.ts';

export type AccessOptions = Pick<EdgeCacheClientOptions, 'tls' | 'token' | 'tokenFile'>;

/** Tokens that Kubernetes rotates overlap by minutes. */
const REREAD_MS = 5_000;
const UNIX = 'unix:';
const PLAIN = credentials.createInsecure();

/** How a client shows agents who it is, and how it knows them. One for all of its connections. */
export class Access {
  readonly #tls: ClientTls | undefined;
  readonly #tokenFile: string | undefined;
  readonly #now: () => number;
  #token: string;
  #metadata: Metadata | undefined;
  #readAt = 0;
  #reading: Promise<boolean> | undefined;

  /** @throws EdgeCacheError where a file cannot be used */
  constructor({ tls, token, tokenFile }: AccessOptions, now: () => number) {
    if (token !== undefined && tokenFile !== undefined)
      throw new RangeError('token and tokenFile may not be given together; remove one of the two');
    this.#tls = tls === undefined ? undefined : new ClientTls(tls);
    this.#tokenFile = tokenFile;
    this.#now = now;
    this.#token = tokenFile === undefined ? (token ?? '').trim() : firstToken(tokenFile);
    this.#readAt = now();
  }

  /** Whether an agent of such an address is spoken to in TLS. */
  isTls(address: string): boolean {
    return this.#tls !== undefined && !address.startsWith(UNIX);
  }

  credentialsOf(address: string): ChannelCredentials {
    return this.#tls === undefined || address.startsWith(UNIX) ? PLAIN : this.#tls.credentialsOf(address);
  }

  channelOptionsOf(address: string): ClientOptions {
    return this.#tls === undefined || address.startsWith(UNIX) ? {} : this.#tls.channelOptionsOf(address);
  }

  /** What goes with a call: the same with the token. */
  with(metadata: Metadata): Metadata {
    if (this.#token === '') return metadata;
    if (this.#tokenFile !== undefined && this.#now() - this.#readAt >= REREAD_MS) void this.renew();
    if (metadata !== NO_METADATA) return this.#authorized(metadata.clone());
    this.#metadata ??= this.#authorized(new Metadata());
    return this.#metadata;
  }

  /** Reads the token's file again, once for all who want it. @returns whether there is another token now */
  renew(): Promise<boolean> {
    if (this.#tokenFile === undefined) return Promise.resolve(false);
    this.#reading ??= this.#read(this.#tokenFile).finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  close(): void {
    this.#tls?.close();
  }

  async #read(path: string): Promise<boolean> {
    this.#readAt = this.#now();
    // A file that cannot be read now may be so again: the token that is known goes on being shown.
    const token = (await readFile(path, 'utf8').catch(() => '')).trim();
    if (token === '' || token === this.#token) return false;
    this.#token = token;
    this.#metadata = undefined;
    return true;
  }

  #authorized(metadata: Metadata): Metadata {
    metadata.set('authorization', `Bearer ${this.#token}`);
    return metadata;
  }
}

/** For calls that say nothing beside their request. Never changed. */
export const NO_METADATA = new Metadata();

function firstToken(path: string): string {
  let token: string;
  try {
    token = readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new EdgeCacheError('EC_CLIENT_ACCESS', `tokenFile cannot be read: ${String(error)}`, false, {
      cause: error,
    });
  }
  if (token !== '') return token;
  throw new EdgeCacheError('EC_CLIENT_ACCESS', `tokenFile ${path} is empty; it must hold a token`, false);
}
