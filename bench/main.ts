import { mkdirSync, writeFileSync } from 'node:fs';
import { arch, cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { InvalidInputError } from '../api/errors.ts';
import { table } from '../hack/demo/report.ts';
import { ensureRedisServer } from '../hack/local/redis-install.ts';
import { confirm, propagation, writes } from './groups/changes.ts';
import { churn } from './groups/churn.ts';
import { fleet, footprint } from './groups/fleet.ts';
import { batch, socket, stream } from './groups/lookups.ts';
import { near } from './groups/near.ts';
import { restart } from './groups/restart.ts';
import { tracing } from './groups/tracing.ts';
import { ttl } from './groups/ttl.ts';
import { unary } from './groups/unary.ts';
import { type Group, type Row, ratioOf, toCells } from './row.ts';

const GROUPS: readonly Group[] = [
  near,
  stream,
  batch,
  unary,
  socket,
  propagation,
  confirm,
  writes,
  churn,
  ttl,
  tracing,
  restart,
  fleet,
  footprint,
];
const HEAD = ['', 'Edge Cache', 'peer', 'ratio', 'goal', 'shares of a core'];
const RESULTS = fileURLToPath(new URL('./results/', import.meta.url));

const HELP = `Usage: npm run bench -- [--only GROUP[,GROUP...]] [--rounds N] [--round-ms N] [--json] [--list]

Measures Edge Cache beside its peers: each row's sides take turns in one run, and medians are compared. What this machine's
other work costs, it costs both. Writes bench/results/GROUP.json.

  --only       some groups; see --list
  --rounds N   turns of each side, 1 to 99 (default 5)
  --round-ms N length of a turn, 50 to 60000 (default 700)
  --json       prints JSON instead of tables
  --list       names of the groups
  --help       this text

Exit code: 0 when all was measured, whatever the figures; 2 for wrong arguments.
`;

process.exitCode = await main();
process.exit();

async function main(): Promise<number> {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: 'string' },
        rounds: { type: 'string', default: '5' },
        'round-ms': { type: 'string', default: '700' },
        json: { type: 'boolean', default: false },
        list: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    });
    if (values.help) return say(HELP);
    if (values.list) return say(GROUPS.map(({ name, about }) => `${name.padEnd(12)} ${about}\n`).join(''));
    const rounds = number('--rounds', values.rounds, 1, 99);
    const roundMs = number('--round-ms', values['round-ms'], 50, 60_000);
    await run(chosen(values.only), rounds, roundMs, values.json);
    return 0;
  } catch (error) {
    const wrong = error instanceof InvalidInputError || (error instanceof TypeError && 'code' in error);
    if (!wrong) throw error;
    process.stderr.write(`${error.message}\n`);
    return 2;
  }
}

async function run(groups: readonly Group[], rounds: number, roundMs: number, json: boolean): Promise<void> {
  ensureRedisServer();
  const all: Record<string, Row[]> = {};
  for (const group of groups) {
    process.stderr.write(`== ${group.name}: ${group.about}\n`);
    const context = { rounds, roundMs, say: (line: string) => process.stderr.write(`   ${line}\n`) };
    const rows = await group.run(context);
    all[group.name] = rows;
    keep(group, rows, rounds, roundMs);
    if (!json) say(`\n${group.name}: ${group.about}\n${table([HEAD, ...rows.map(toCells)]).join('\n')}\n\n`);
  }
  if (json) say(`${JSON.stringify(all)}\n`);
}

function keep({ name, about }: Group, rows: readonly Row[], rounds: number, roundMs: number): void {
  const [cpu] = cpus();
  const machine = `${cpus().length} × ${cpu?.model ?? 'unknown'}, ${arch()}, Node ${process.version}`;
  const measured = { at: new Date().toISOString(), machine, rounds, roundMs };
  const figures = rows.map((row) => ({ ...row, ratio: ratioOf(row) }));
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(
    `${RESULTS}${name}.json`,
    `${JSON.stringify({ name, about, measured, rows: figures }, null, 2)}\n`,
  );
}

function chosen(only: string | undefined): readonly Group[] {
  if (only === undefined) return GROUPS;
  return only.split(',').map((name) => {
    const group = GROUPS.find((each) => each.name === name);
    if (group !== undefined) return group;
    const names = GROUPS.map((each) => each.name).join(', ');
    throw wrong('--only', name, `must be one of ${names}`);
  });
}

function number(path: string, given: string, min: number, max: number): number {
  const value = Number(given);
  if (/^\d+$/.test(given) && value >= min && value <= max) return value;
  throw wrong(path, given, `must be a whole number from ${min} to ${max}`);
}

function wrong(path: string, given: string, remedy: string): InvalidInputError {
  return new InvalidInputError('the command line', [{ path, given: JSON.stringify(given), remedy }]);
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}
