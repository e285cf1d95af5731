import { parseArgs } from 'node:util';
import { table } from '../../hack/demo/report.ts';
import { FAULTS } from './faults.ts';
import { runChaos } from './run.ts';

const HELP = `Usage: npm run chaos -- [--seconds N] [--seed S] [--fault NAME]... [--list]

Readers and writers on three agents and a Redis Cluster with replicas, while faults are injected one after another; every
read is checked against the guarantees.

  --seconds N    how long, 5 to 86400 (default 60)
  --seed S       the order of faults and load (default: a new one, printed)
  --fault NAME   only this fault; may be given several times
  --list         names of the faults
  --help         this text

Exit code: 0 if nothing was violated, 1 if something was, 2 for wrong arguments.
`;

process.exitCode = await main();
process.exit();

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '60' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
      fault: { type: 'string', multiple: true },
      list: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) return say(HELP);
  if (values.list) return say(`${Object.keys(FAULTS).join('\n')}\n`);
  const [seconds, seed] = [Number(values.seconds), Number(values.seed)];
  const unknown = values.fault?.find((name) => !(name in FAULTS));
  if (unknown !== undefined) return refuse(`--fault: got '${unknown}'; see --list`);
  if (!(seconds >= 5 && seconds <= 86_400))
    return refuse(`--seconds: got '${values.seconds}'; must be from 5 to 86400`);
  if (!Number.isInteger(seed) || seed < 0)
    return refuse(`--seed: got '${values.seed}'; must be a whole number`);
  process.stdout.write(`seed ${seed}\n`);
  const report = await runChaos({
    seconds,
    seed,
    ...(values.fault === undefined ? {} : { faults: values.fault }),
    say: (line) => process.stdout.write(`${line}\n`),
  });
  const rows = [...report.faultsTried].map(([name, { times, reads, violations }]) => [
    name,
    String(times),
    String(reads),
    String(violations),
  ]);
  const { counters } = report;
  say(`\n${table([['fault', 'times', 'reads checked', 'violations'], ...rows]).join('\n')}\n\n`);
  say(
    `${JSON.stringify(counters)}\ngaps repaired ${report.gapsRepaired}, partition resets ${report.partitionResets}, audited ${report.auditReads}\n`,
  );
  for (const text of report.violations.slice(0, 20)) say(`VIOLATION ${text}\n`);
  say(`seed ${seed}: ${report.checkedReads} reads checked, ${report.violations.length} violations\n`);
  return report.violations.length === 0 ? 0 : 1;
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}

function refuse(text: string): number {
  process.stderr.write(`${text}\n`);
  return 2;
}
