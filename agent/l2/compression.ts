import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { LIMITS } from '../../api/limits.ts';

/** Level 1: on JSON the next ones save a few percent more, for more time. docs/memory.md has the figures. */
const OPTIONS = {
  // The checksum: a byte that has changed must be an error, not another value.
  params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 },
};
/** What saves less than a tenth is not worth being unpacked by every agent that reads it. */
const WORTH = 0.9;

export interface Packed {
  readonly bytes: Buffer;
  readonly isCompressed: boolean;
}

/**
 * Values as they stand in Redis: compressed by zstd where they are large and it is worth it. An agent's memory, events and
 * clients have them plain.
 */
export class Compression {
  /** Of values above the size: before and after. */
  plainBytes = 0;
  storedBytes = 0;

  /** @param aboveBytes size above which it is tried; 0: never */
  pack(value: Buffer, aboveBytes: number): Packed {
    if (aboveBytes === 0 || value.length <= aboveBytes) return { bytes: value, isCompressed: false };
    const bytes = zstdCompressSync(value, OPTIONS);
    const isCompressed = bytes.length <= value.length * WORTH;
    this.plainBytes += value.length;
    this.storedBytes += isCompressed ? bytes.length : value.length;
    return isCompressed ? { bytes, isCompressed } : { bytes: value, isCompressed };
  }

  /** @throws Error where the bytes are not what `pack` made, or would become more than any namespace allows */
  unpack(bytes: Buffer): Buffer {
    return zstdDecompressSync(bytes, { maxOutputLength: LIMITS.valueBytes });
  }
}
