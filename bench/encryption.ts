import { randomBytes } from 'node:crypto';
import { KeyRing } from '../agent/l2/encryption.ts';

/** What it costs to encrypt a value for Redis and to decrypt it: microseconds, the best of many short runs. */
const SIZES = [100, 1_000, 10_000, 100_000];
const ROUNDS = 60;

const ring = new KeyRing('bench', [randomBytes(32)]);
const place = { namespace: 'gpu_avail', key: 'gpu/gpu_123', header: '4 ["provider:1"]' };

process.stdout.write('bytes    encrypt µs   decrypt µs\n');
for (const size of SIZES) {
  const value = randomBytes(size);
  const sealed = ring.seal(value, place);
  const seal = best(() => ring.seal(value, place), size);
  const open = best(() => ring.open(sealed, place), size);
  process.stdout.write(`${String(size).padEnd(9)}${seal.toFixed(1).padEnd(13)}${open.toFixed(1)}\n`);
}

function best(run: () => unknown, size: number): number {
  const operations = size > 10_000 ? 100 : 500;
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    for (let i = 0; i < operations; i++) run();
    least = Math.min(least, (performance.now() - start) / operations);
  }
  return least * 1_000;
}
