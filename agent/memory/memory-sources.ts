import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { getHeapStatistics } from 'node:v8';

/** Something that has so much memory and uses so much of it. */
export interface MemoryUse {
  readonly name: 'cgroup' | 'heap';
  readonly usedBytes: number;
  readonly limitBytes: number;
}

/** Larger limits are how cgroup v1 says that there is none. */
const NO_LIMIT_BYTES = 2 ** 60;

/**
 * Of V8's limit: the rest is for the young generation, of which little is in use at any time, and the process ends when the
 * old one is full.
 */
const OLD_SHARE = 0.88;

interface Files {
  readonly limit: string;
  readonly used: string;
  readonly stat: string;
  /** In stat: pages of files that the kernel drops before it kills anybody. */
  readonly inactive: string;
}

const V2: Files = {
  limit: 'memory.max',
  used: 'memory.current',
  stat: 'memory.stat',
  inactive: 'inactive_file',
};
const V1: Files = {
  limit: 'memory/memory.limit_in_bytes',
  used: 'memory/memory.usage_in_bytes',
  stat: 'memory/memory.stat',
  inactive: 'total_inactive_file',
};

/**
 * Use of the container's cgroup, version 2 or 1, less what the kernel can take back: what the kubelet calls its working set.
 * Undefined where there is no limit, or nothing to read it from.
 */
export function cgroupUse(root = '/sys/fs/cgroup'): MemoryUse | undefined {
  return usedOf(root, V2) ?? usedOf(root, V1);
}

/** Use of V8's heap. Values are outside of it, keys and entries' objects inside. */
export function heapUse(): MemoryUse {
  const { used_heap_size: usedBytes, heap_size_limit: limitBytes } = getHeapStatistics();
  return { name: 'heap', usedBytes, limitBytes: limitBytes * OLD_SHARE };
}

function usedOf(root: string, { limit, used, stat, inactive }: Files): MemoryUse | undefined {
  const limitBytes = Number(read(root, limit));
  const usedBytes = Number(read(root, used));
  // "max" is no number.
  if (!(limitBytes > 0 && limitBytes < NO_LIMIT_BYTES) || Number.isNaN(usedBytes)) return undefined;
  const found = new RegExp(`^${inactive} (\\d+)$`, 'm').exec(read(root, stat));
  return { name: 'cgroup', limitBytes, usedBytes: Math.max(0, usedBytes - Number(found?.[1] ?? 0)) };
}

/** NaN's text where it cannot be read. */
function read(root: string, path: string): string {
  try {
    return readFileSync(join(root, path), 'utf8').trim();
  } catch {
    return 'NaN';
  }
}
