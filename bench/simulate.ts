import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { POLICIES, type SimulatedPolicy, Simulation, type SimulationResult } from './simulation.ts';
import { traceLines } from './trace-lines.ts';

const HELP = `Usage: npm run simulate -- TRACE --size N [--policy P] [--json]

Plays a trace of requests against the eviction policies of L1, each from a cold cache, and prints their hit ratios.

  TRACE      a file with one key a line; decompressed if it ends in .gz
  --size     how many entries the cache holds
  --policy   one of: ${POLICIES.join(', ')}; all without it; may be given again
  --json     one line of JSON, hit ratios from 0 to 1 by policy: {"lru": 0.4412, …}
             (npm run -s keeps npm's own lines out)
  --help     this text

optimum is Belady's policy with bypass, which knows the future. lfu is for comparison: L1 does not offer it.
Exits with 0, with 1 if the trace cannot be read or is empty, with 2 if the command line is wrong.
`;

interface Command {
  readonly trace: string;
  readonly size: number;
  readonly policies: readonly SimulatedPolicy[];
  readonly json: boolean;
}

class UsageError extends Error {}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let command: Command | undefined;
  try {
    command = parseCommand(args);
  } catch (error) {
    process.stderr.write(`simulate: ${messageOf(error)}\nSee npm run simulate -- --help\n`);
    return 2;
  }
  if (command === undefined) {
    process.stdout.write(HELP);
    return 0;
  }
  try {
    const result = await simulate(command);
    process.stdout.write(command.json ? `${json(result)}\n` : table(command, result));
    return 0;
  } catch (error) {
    process.stderr.write(
      `simulate: TRACE: got '${command.trace}': ${messageOf(error)}; must be a text file with one key a line, or one compressed by gzip whose name ends in .gz\n`,
    );
    return 1;
  }
}

function parseCommand(args: readonly string[]): Command | undefined {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      size: { type: 'string' },
      policy: { type: 'string', multiple: true },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const [trace, ...more] = positionals;
  if (trace === undefined || more.length > 0)
    throw new UsageError(`TRACE: got ${positionals.length} of them; must be one file with one key a line`);
  if (values.size === undefined)
    throw new UsageError(
      '--size: got nothing; must be a whole number from 1, how many entries the cache holds',
    );
  return {
    trace,
    size: parseSize(values.size),
    policies: (values.policy ?? [...POLICIES]).map(parsePolicy),
    json: values.json,
  };
}

function parseSize(text: string): number {
  const size = Number(text);
  if (Number.isSafeInteger(size) && size >= 1) return size;
  throw new UsageError(`--size: got '${text}'; must be a whole number from 1`);
}

function parsePolicy(text: string): SimulatedPolicy {
  const policy = POLICIES.find((name) => name === text);
  if (policy !== undefined) return policy;
  throw new UsageError(`--policy: got '${text}'; must be one of ${POLICIES.join(', ')}`);
}

async function simulate({ trace, size, policies }: Command): Promise<SimulationResult> {
  const simulation = new Simulation(size, policies);
  for await (const key of traceLines(locate(trace))) simulation.request(key);
  const result = simulation.result();
  if (result.requests === 0) throw new Error('holds no requests');
  return result;
}

/** npm runs scripts in the package's folder; a path is meant from where npm was called. */
function locate(trace: string): string {
  const { INIT_CWD: calledFrom } = process.env;
  const meant = resolve(calledFrom ?? '.', trace);
  return existsSync(meant) ? meant : resolve(trace);
}

function json({ hitRatios }: SimulationResult): string {
  const members = Object.entries(hitRatios).map(
    ([policy, ratio]) => `"${policy}": ${Number(ratio.toFixed(4))}`,
  );
  return `{${members.join(', ')}}`;
}

function table({ trace, size }: Command, { requests, keys, hitRatios }: SimulationResult): string {
  const rows = Object.entries(hitRatios).map(
    ([policy, ratio]) => `${policy.padEnd(8)} ${(100 * ratio).toFixed(2).padStart(6)}`,
  );
  const head = `${trace}: ${requests} requests, ${keys} keys, ${size} entries`;
  return `${head}\n\npolicy    hit %\n${rows.join('\n')}\n`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
