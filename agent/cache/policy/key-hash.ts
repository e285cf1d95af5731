/**
 * 32 well-mixed bits of a string, as a small integer of V8 (so it costs no allocation in maps and typed arrays).
 * Two characters a round halve the chain of multiplications, which is what the time goes into.
 */
export function hashKey(key: string): number {
  const { length } = key;
  let hash = length ^ 0x5bd1e995;
  let i = 0;
  for (; i + 1 < length; i += 2) {
    hash = Math.imul(hash ^ key.charCodeAt(i) ^ (key.charCodeAt(i + 1) << 16), 0x85ebca6b);
    hash ^= hash >>> 15;
  }
  if (i < length) hash = Math.imul(hash ^ key.charCodeAt(i), 0x85ebca6b);
  return mix(hash);
}

/** The finalizer of MurmurHash3: every bit of the input moves every bit of the output. */
export function mix(bits: number): number {
  let hash = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
