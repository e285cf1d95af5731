import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

/** A key of 32 bytes, with the name that entries know it by. */
interface Key {
  readonly id: Buffer;
  readonly secret: Buffer;
}

/** What a sealed value is bound to: it opens nowhere else, so nobody who writes to Redis can put one entry in the place of another. */
export interface Place {
  readonly namespace: string;
  readonly key: string;
  /** Flags of the entry, and its tags as they are stored; for what is no entry, what it is. */
  readonly header: string;
}

/** Why a value could not be opened. */
export const SEAL_FAILURES = ['unknown-key', 'altered', 'plain'] as const;
export type SealFailure = (typeof SEAL_FAILURES)[number];

/** A value of an encrypted namespace that nobody may be answered with. */
export class UnopenedError extends Error {
  readonly reason: SealFailure;

  constructor(reason: SealFailure, message: string) {
    super(message);
    this.name = 'UnopenedError';
    this.reason = reason;
  }
}

const FORMAT = 1;
const ID_BYTES = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = 1 + ID_BYTES + NONCE_BYTES;
/** What sealing adds to a value. */
export const SEAL_BYTES = HEADER_BYTES + TAG_BYTES;
const CIPHER = 'aes-256-gcm';

/**
 * Seals values by AES-256-GCM: `1, key id (8 bytes), nonce (12), ciphertext, tag (16)`. Nonces are random: with one key at most
 * 2^32 values should be sealed (NIST SP 800-38D), a month of 1,600 a second.
 */
export class KeyRing {
  readonly #cacheId: string;
  readonly #first: Key;
  readonly #byId: ReadonlyMap<string, Key>;

  /** @param secrets each of 32 bytes; the first seals, all of them open. */
  constructor(cacheId: string, secrets: readonly Buffer[]) {
    const keys = secrets.map((secret) => ({ id: idOf(secret), secret }));
    const [first] = keys;
    if (first === undefined) throw new RangeError('a key ring has at least one key');
    this.#cacheId = cacheId;
    this.#first = first;
    this.#byId = new Map(keys.map((key) => [key.id.toString('latin1'), key]));
  }

  /** Names of the keys, for people; the first seals. */
  get ids(): string[] {
    return [...this.#byId.values()].map(({ id }) => id.toString('hex'));
  }

  seal(value: Buffer, place: Place): Buffer {
    const { id, secret } = this.#first;
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, secret, nonce);
    cipher.setAAD(this.#bindingOf(place));
    const sealed = cipher.update(value);
    // GCM gives nothing more at the end.
    cipher.final();
    return Buffer.concat([Buffer.of(FORMAT), id, nonce, sealed, cipher.getAuthTag()]);
  }

  /** @throws UnopenedError */
  open(sealed: Buffer, place: Place): Buffer {
    if (sealed.length < SEAL_BYTES || sealed[0] !== FORMAT)
      throw new UnopenedError('altered', 'what is stored is not a sealed value');
    const id = sealed.subarray(1, 1 + ID_BYTES);
    const key = this.#byId.get(id.toString('latin1'));
    if (key === undefined)
      throw new UnopenedError(
        'unknown-key',
        `it was sealed with the key ${id.toString('hex')}, which is not in the file`,
      );
    const decipher = createDecipheriv(CIPHER, key.secret, sealed.subarray(1 + ID_BYTES, HEADER_BYTES));
    decipher.setAAD(this.#bindingOf(place));
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
    const value = decipher.update(sealed.subarray(HEADER_BYTES, -TAG_BYTES));
    try {
      decipher.final();
    } catch {
      throw new UnopenedError('altered', 'it was altered in Redis, or is that of another entry');
    }
    return value;
  }

  #bindingOf({ namespace, key, header }: Place): Buffer {
    // JSON, so that no part can run into the next.
    return Buffer.from(JSON.stringify([this.#cacheId, namespace, key, header]));
  }
}

/** Says nothing of the key, and is the same wherever the key is. */
function idOf(secret: Buffer): Buffer {
  return createHash('sha256').update('edgecache key id').update(secret).digest().subarray(0, ID_BYTES);
}
