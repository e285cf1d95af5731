import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import type { Logger } from 'pino';
import { InvalidInputError } from '../../api/errors.ts';
import { AgentError, messageOf } from '../errors.ts';
import { KeyRing, type Place, type SealFailure, UnopenedError } from './encryption.ts';

export interface EncryptionOptions {
  readonly cacheId: string;
  readonly keyFile: string | undefined;
  /** Whether a namespace's values are encrypted in Redis. */
  readonly isEncrypted: (namespace: string) => boolean;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly log: Logger;
}

const KEY_BYTES = 32;
const MAX_KEYS = 32;
/** How often the file is looked at: a mounted Secret changes by a link that is swapped, which no event tells of. */
const WATCH_MS = 1_000;
/** What cannot be opened is told so often, for each reason. */
const TELL_MS = 60_000;

/** Encrypts values of the namespaces that want it, with the keys of a file that may change while the agent runs. */
export class Encryption {
  /** Values that could not be opened, since the start. */
  readonly failures: Record<SealFailure, number> = { 'unknown-key': 0, altered: 0, plain: 0 };
  readonly #options: EncryptionOptions;
  readonly #toldAt = new Map<SealFailure, number>();
  #ring: KeyRing | undefined;

  /** @throws InvalidInputError where the file cannot be used. */
  constructor(options: EncryptionOptions) {
    this.#options = options;
    if (options.keyFile !== undefined) this.#ring = readKeys(options.keyFile, options.cacheId);
  }

  isOn(namespace: string): boolean {
    return this.#options.isEncrypted(namespace);
  }

  /** Takes changes of the file from now on; one that cannot be used changes nothing. */
  watch(signal: AbortSignal): void {
    const { keyFile, cacheId, log } = this.#options;
    if (keyFile === undefined) return;
    const readAgain = () => {
      try {
        this.#ring = readKeys(keyFile, cacheId);
        log.info({ keys: this.#ring.ids }, 'encryption keys read again; the first encrypts');
      } catch (error) {
        log.error(
          { error: messageOf(error) },
          'the changed file of encryption keys is refused; going on with the keys from before',
        );
      }
    };
    watchFile(keyFile, { interval: WATCH_MS, persistent: false }, readAgain);
    signal.addEventListener('abort', () => unwatchFile(keyFile, readAgain));
  }

  /** @throws AgentError EC_NO_ENCRYPTION_KEY: never is a value of an encrypted namespace stored plain instead. */
  seal(value: Buffer, place: Place): Buffer {
    if (this.#ring === undefined)
      throw new AgentError(
        'EC_NO_ENCRYPTION_KEY',
        `namespace '${place.namespace}' is encrypted, and this agent has no keys; set encryption.keyFile (CACHE_ENCRYPTION_KEY_FILE) and start it again`,
      );
    return this.#ring.seal(value, place);
  }

  /** The value, or undefined where it cannot be opened, which is counted and told. */
  open(sealed: Buffer, place: Place): Buffer | undefined {
    try {
      if (this.#ring === undefined)
        throw new UnopenedError('unknown-key', 'this agent has no keys (encryption.keyFile)');
      return this.#ring.open(sealed, place);
    } catch (error) {
      if (!(error instanceof UnopenedError)) throw error;
      this.#note(error.reason, place.namespace, error.message);
      return undefined;
    }
  }

  /** A value of an encrypted namespace stands in Redis as if it were of another one: whoever wrote it had no key. */
  notePlain(namespace: string): void {
    this.#note(
      'plain',
      namespace,
      'it is not encrypted: it was written before the namespace was, or past the agents',
    );
  }

  #note(reason: SealFailure, namespace: string, message: string): void {
    this.failures[reason] += 1;
    const { now, log } = this.#options;
    const told = this.#toldAt.get(reason);
    if (told !== undefined && now() - told < TELL_MS) return;
    this.#toldAt.set(reason, now());
    log.warn(
      { namespace, reason, error: message, since: this.failures[reason] },
      'an encrypted value cannot be opened: it counts as a miss',
    );
  }
}

/**
 * One key of base64 a line; lines that begin with # are for people.
 * @throws InvalidInputError
 */
export function readKeys(path: string, cacheId: string): KeyRing {
  const fail = (given: string, remedy: string) => {
    throw new InvalidInputError('encryption', [
      { path: 'encryption.keyFile', given: `${path}: ${given}`, remedy },
    ]);
  };
  let content = '';
  try {
    content = readFileSync(path, 'utf8');
  } catch (error) {
    fail(messageOf(error), 'must be a readable file of keys (CACHE_ENCRYPTION_KEY_FILE)');
  }
  const lines = content.split('\n').map((line) => line.trim());
  const secrets: Buffer[] = [];
  lines.forEach((line, i) => {
    if (line === '' || line.startsWith('#')) return;
    const secret = Buffer.from(line, 'base64');
    // Never the line itself: it may be a key but for one character.
    if (secret.length !== KEY_BYTES || secret.toString('base64') !== line)
      fail(
        `line ${i + 1} is not a key`,
        'must be 32 bytes as base64, as `openssl rand -base64 32` makes them',
      );
    secrets.push(secret);
  });
  if (secrets.length === 0 || secrets.length > MAX_KEYS)
    fail(`${secrets.length} keys`, `must have 1 to ${MAX_KEYS}, one a line; the first encrypts`);
  return new KeyRing(cacheId, secrets);
}
