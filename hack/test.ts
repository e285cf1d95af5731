import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { ensureRedisServer } from './local/redis-install.ts';

const HELP = `Usage: npm test [-- --only STEP[,STEP...]]

Runs everything that must hold: format and lint, types, generated files, unit, integration, Kubernetes and chaos tests.

  --only   some of: lint, types, generated, unit, integration, kube, chaos
  --help   this text
`;

/** A step and the command that it is. */
const STEPS: Readonly<Record<string, readonly string[]>> = {
  lint: ['biome', 'ci', '--error-on-warnings', '.'],
  types: ['tsc', '-p', '.'],
  generated: ['node', 'hack/check-generated.ts'],
  unit: ['vitest', 'run', '--project', 'unit'],
  integration: ['vitest', 'run', '--project', 'integration'],
  kube: ['vitest', 'run', '--project', 'kube'],
  chaos: ['vitest', 'run', '--project', 'chaos'],
};

const { values } = parseArgs({ options: { only: { type: 'string' }, help: { type: 'boolean' } } });
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const chosen = values.only?.split(',') ?? Object.keys(STEPS);
const unknown = chosen.find((step) => !(step in STEPS));
if (unknown !== undefined) {
  process.stderr.write(`--only: got '${unknown}'; must be some of ${Object.keys(STEPS).join(', ')}\n`);
  process.exit(2);
}
if (chosen.includes('integration') || chosen.includes('chaos')) ensureRedisServer();

const failed: string[] = [];
for (const step of chosen) {
  const [command = '', ...args] = STEPS[step] ?? [];
  const startedAt = performance.now();
  process.stdout.write(`\n== ${step}: ${command} ${args.join(' ')}\n`);
  const { status } = spawnSync(command, args, { stdio: 'inherit' });
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(`== ${step}: ${status === 0 ? 'passed' : 'FAILED'} in ${seconds} s\n`);
  if (status !== 0) failed.push(step);
}
const passed = chosen.length - failed.length;
if (failed.length > 0) process.stdout.write(`\nfailed: ${failed.join(', ')}\n`);
process.stdout.write(`\nsteps: ${passed} passed, ${failed.length} failed\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
