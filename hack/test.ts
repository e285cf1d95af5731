import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { ensureRedisServer } from './local/redis-install.ts';

const HELP = `Usage: npm test [-- --only STEP[,STEP...]]

Runs everything that must hold: format and lint, types, generated files, unit, integration, Kubernetes, chaos and
end-to-end tests.

  --only   some of: lint, types, page, generated, unit, integration, chaos, e2e, kube
  --help   this text
`;

/** A step and the command that it is. */
const STEPS: Readonly<Record<string, readonly string[]>> = {
  lint: ['biome', 'ci', '--error-on-warnings', '.'],
  types: ['tsc', '-p', '.'],
  // What runs in a browser has other types at hand, and none of its own to strip.
  page: ['tsc', '-p', 'agent/ui/page'],
  generated: ['node', 'hack/check-generated.ts'],
  unit: ['vitest', 'run', '--project', 'unit'],
  integration: ['vitest', 'run', '--project', 'integration'],
  chaos: ['vitest', 'run', '--project', 'chaos'],
  // Test by test: a file takes minutes.
  e2e: ['vitest', 'run', '--project', 'e2e', '--reporter', 'verbose'],
  // After the step that builds its API server, where that is built at all.
  kube: ['vitest', 'run', '--project', 'kube'],
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

// While a step runs this is asleep. Ctrl-C reaches the step as well, which cleans up after itself: wait for it.
let isInterrupted = false;
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.on(name, () => {
    isInterrupted = true;
  });

const EXIT_INTERRUPTED = 130;
const failed: string[] = [];
for (const step of chosen) {
  const [command = '', ...args] = STEPS[step] ?? [];
  const startedAt = performance.now();
  process.stdout.write(`\n== ${step}: ${command} ${args.join(' ')}\n`);
  const { status } = spawnSync(command, args, { stdio: 'inherit' });
  // A signal that came meanwhile is told of in the next turn.
  await new Promise((resolve) => setImmediate(resolve));
  if (isInterrupted) {
    process.stdout.write(`== ${step}: interrupted\n`);
    process.exit(EXIT_INTERRUPTED);
  }
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(`== ${step}: ${status === 0 ? 'passed' : 'FAILED'} in ${seconds} s\n`);
  if (status !== 0) failed.push(step);
}
const passed = chosen.length - failed.length;
if (failed.length > 0) process.stdout.write(`\nfailed: ${failed.join(', ')}\n`);
process.stdout.write(`\nsteps: ${passed} passed, ${failed.length} failed\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
