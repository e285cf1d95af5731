/**
 * Partition of a (namespace, key): FNV-1a over their UTF-8 bytes with a zero between, then the finalizer of
 * MurmurHash3, because FNV's low bits alone spread short keys badly. Part of the stored format: never change it.
 */
export function partitionOf(namespace: string, key: string, partitions: number): number {
  let hash = 0x811c9dc5;
  hash = hashText(hash, namespace);
  hash = Math.imul(hash, 0x01000193);
  hash = hashText(hash, key);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  hash ^= hash >>> 16;
  return (hash >>> 0) % partitions;
}

function hashText(seed: number, text: string): number {
  let hash = seed;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    // Anything beyond ASCII takes the slow way, so that other languages get the same number from UTF-8.
    if (code > 0x7f) return hashBytes(seed, Buffer.from(text));
    hash = Math.imul(hash ^ code, 0x01000193);
  }
  return hash;
}

function hashBytes(seed: number, bytes: Buffer): number {
  let hash = seed;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash;
}
