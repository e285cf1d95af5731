import { parseArgs } from 'node:util';
import { EdgeCacheError } from '../client/errors.ts';
import type { Agents } from './agents.ts';
import { CliError, type Command, EXIT, Given, toParseArgs, usageError } from './command.ts';
import { bench } from './commands/bench.ts';
import { completionOf } from './commands/completion.ts';
import { doctor } from './commands/doctor.ts';
import { health, stats, tiers } from './commands/fleet.ts';
import { get, invalidate, publish, put } from './commands/lookups.ts';
import { top } from './commands/top.ts';
import { watch } from './commands/watch.ts';
import { findAgents } from './find-agents.ts';
import { COMMON_OPTIONS, helpOf, helpOfAll } from './help.ts';
import { Screen, type ScreenOptions } from './screen.ts';

/** What the command line needs of its process. */
export interface CliProcess extends Pick<ScreenOptions, 'out' | 'err'> {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: () => Promise<Buffer>;
  /** Ends on Ctrl-C. */
  readonly signal: AbortSignal;
  readonly version: string;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

const COMMANDS: readonly Command[] = [
  get,
  put,
  invalidate,
  publish,
  watch,
  stats,
  health,
  top,
  tiers,
  doctor,
  bench,
  completionOf(() => COMMANDS),
];

/** Runs one command. @returns the exit code; never throws */
export async function run(process: CliProcess): Promise<number> {
  const { args, err, signal } = process;
  try {
    return await dispatch(process);
  } catch (error) {
    if (signal.aborted) return EXIT.interrupted;
    err.write(`edgecache ${args[0] ?? ''}: ${error instanceof Error ? error.message : String(error)}\n`);
    if (error instanceof CliError) return error.exitCode;
    // Anything else than what an agent said is a mistake of this program: its place helps to mend it.
    if (!(error instanceof EdgeCacheError) && error instanceof Error) err.write(`${error.stack}\n`);
    return EXIT.failed;
  }
}

async function dispatch(process: CliProcess): Promise<number> {
  const { args, env, version, out, err, stdin, signal, now } = process;
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const wanted = COMMANDS.find((one) => one.name === rest[0]);
    out.write(`${wanted === undefined ? helpOfAll(COMMANDS) : helpOf(wanted)}\n`);
    return name === undefined ? EXIT.usage : EXIT.ok;
  }
  if (name === '--version') {
    out.write(`${version}\n`);
    return EXIT.ok;
  }
  const command = COMMANDS.find((one) => one.name === name);
  if (command === undefined) throw usageError(`there is no such command; see "edgecache --help"`);
  const given = parse(command, rest);
  if (given.flag('help')) {
    out.write(`${helpOf(command)}\n`);
    return EXIT.ok;
  }
  checkWords(command, given);
  const color = !given.flag('no-color') && env['NO_COLOR'] === undefined;
  const screen = new Screen({ out, err, json: given.flag('json'), color });
  let agents: Promise<Agents> | undefined;
  const find = () => {
    agents ??= findAgents(given, env, (line) => screen.note(line));
    return agents;
  };
  try {
    const code = await command.run({ screen, given, signal, agents: find, env, stdin, now });
    return signal.aborted ? EXIT.interrupted : code;
  } finally {
    (await agents?.catch(() => undefined))?.close();
  }
}

/** @throws CliError */
function parse(command: Command, args: readonly string[]): Given {
  const options = toParseArgs({ ...command.options, ...COMMON_OPTIONS });
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    return new Given(values, positionals);
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    throw usageError(`${said}; see "edgecache ${command.name} --help"`);
  }
}

function checkWords({ name, usage, words: [least, most] }: Command, { positionals }: Given): void {
  const count = positionals.length;
  if (count >= least && count <= most) return;
  throw usageError(`${count} words given, expected: edgecache ${`${name} ${usage}`.trimEnd()}; see --help`);
}
