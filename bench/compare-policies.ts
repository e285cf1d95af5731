import { basename } from 'node:path';
import { Simulation } from './simulation.ts';
import { SYNTHETIC_TRACES } from './synthetic-traces.ts';
import { traceLines } from './trace-lines.ts';

/**
 * What `default` is judged by: for each made-up trace and each file given, how far it stays below the best of
 * the policies that it chooses from. Usage: node bench/compare-policies.ts [TRACE...]
 */
const SIZES = [500, 2000, 5000];
const POLICIES = ['lru', 's3fifo', 'tinylfu', 'default'] as const;

interface Workload {
  readonly name: string;
  keys(): AsyncIterable<string>;
}

const files = process.argv
  .slice(2)
  .map((file): Workload => ({ name: basename(file), keys: () => traceLines(file) }));
const synthetic = SYNTHETIC_TRACES.map(({ name, keys }): Workload => ({ name, keys: () => texts(keys()) }));

process.stdout.write(`${row('trace', ['size', ...POLICIES, 'below best'])}\n`);
for (const { name, keys } of [...files, ...synthetic]) {
  const simulations = SIZES.map((size) => ({ size, simulation: new Simulation(size, POLICIES) }));
  for await (const key of keys()) for (const { simulation } of simulations) simulation.request(key);
  for (const { size, simulation } of simulations) {
    const { hitRatios } = simulation.result();
    const percents = POLICIES.map((policy) => 100 * (hitRatios[policy] ?? 0));
    const short = Math.max(...percents) - 100 * (hitRatios.default ?? 0);
    const cells = [size, ...percents.map((percent) => percent.toFixed(2)), short > 0 ? short.toFixed(2) : ''];
    process.stdout.write(`${row(name, cells)}${short > 1 ? ' !' : ''}\n`);
  }
}

async function* texts(keys: Iterable<number>): AsyncIterable<string> {
  for (const key of keys) yield String(key);
}

function row(name: string, cells: readonly (string | number)[]): string {
  return name.padEnd(22) + cells.map((cell) => String(cell).padStart(11)).join('');
}
