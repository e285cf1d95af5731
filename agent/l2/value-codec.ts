import type { Compression } from './compression.ts';
import type { Encryption } from './encryption-keys.ts';
import { ABSENT_FLAG, SEALED_FLAG, UnreadableEntryError, ZSTD_FLAG } from './entry.ts';

/** A value as an entry has it, before and after. */
export interface PlainValue {
  readonly namespace: string;
  readonly key: string;
  readonly value: Buffer;
  readonly absent: boolean;
  /** As the entry stores them. */
  readonly tags: string;
  readonly compressAboveBytes: number;
}

export interface StoredValue {
  readonly flags: number;
  readonly bytes: Buffer;
}

/** Values on their way to Redis and back: compressed first, then encrypted, since what is encrypted has no pattern left to compress. */
export class ValueCodec {
  readonly #compression: Compression;
  readonly #encryption: Encryption | undefined;

  constructor(compression: Compression, encryption: Encryption | undefined) {
    this.#compression = compression;
    this.#encryption = encryption;
  }

  /** @throws AgentError EC_NO_ENCRYPTION_KEY */
  encode({ namespace, key, value, absent, tags, compressAboveBytes }: PlainValue): StoredValue {
    const { bytes, isCompressed } = this.#compression.pack(value, compressAboveBytes);
    const flags = (absent ? ABSENT_FLAG : 0) | (isCompressed ? ZSTD_FLAG : 0);
    if (this.#encryption?.isOn(namespace) !== true) return { flags, bytes };
    const sealed = flags | SEALED_FLAG;
    return {
      flags: sealed,
      bytes: this.#encryption.seal(bytes, { namespace, key, header: headerOf(sealed, tags) }),
    };
  }

  /**
   * @returns nothing where it is encrypted and cannot be opened, or is not and should be
   * @throws UnreadableEntryError
   */
  decode(namespace: string, key: string, { flags, bytes }: StoredValue, tags: string): Buffer | undefined {
    const packed = this.#open(namespace, key, { flags, bytes }, tags);
    return packed === undefined || (flags & ZSTD_FLAG) === 0 ? packed : this.#unpack(packed);
  }

  #open(namespace: string, key: string, { flags, bytes }: StoredValue, tags: string): Buffer | undefined {
    const encryption = this.#encryption;
    if ((flags & SEALED_FLAG) !== 0)
      return encryption?.open(bytes, { namespace, key, header: headerOf(flags, tags) });
    if (encryption?.isOn(namespace) !== true) return bytes;
    encryption.notePlain(namespace);
    return undefined;
  }

  #unpack(bytes: Buffer): Buffer {
    try {
      return this.#compression.unpack(bytes);
    } catch (error) {
      throw new UnreadableEntryError('a compressed entry cannot be unpacked', { cause: error });
    }
  }
}

function headerOf(flags: number, tags: string): string {
  return `${flags} ${tags}`;
}
