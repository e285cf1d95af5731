import { parseArgs } from 'node:util';
import { AgentUnavailableError, EdgeCacheError } from '../client/errors.ts';
import type { Agents } from './agents.ts';
import { CliError, type Command, EXIT, Given, toParseArgs, usageError } from './command.ts';
import { bench } from './commands/bench.ts';
import { completionOf, kubectlCompletion } from './commands/completion.ts';
import { doctor } from './commands/doctor.ts';
import { health, stats, tiers } from './commands/fleet.ts';
import { get, invalidate, publish, put } from './commands/lookups.ts';
import { top } from './commands/top.ts';
import { watch } from './commands/watch.ts';
import { nearestOf } from './complete.ts';
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

const WHERE_TO_LOOK =
  'Name agents with --address or EDGECACHE_ADDRESS, or a cluster with KUBECONFIG or --context; agents that speak TLS answer to --tls or --ca alone. "edgecache health" says which of them answer.';

/** How kubectl_complete-edgecache asks; not for people. */
const COMPLETE = '__complete';

/** Runs one command. @returns the exit code; never throws */
export async function run(process: CliProcess): Promise<number> {
  const { args, err, signal } = process;
  try {
    return await dispatch(process);
  } catch (error) {
    if (signal.aborted) return EXIT.interrupted;
    err.write(`edgecache ${args[0] ?? ''}: ${error instanceof Error ? error.message : String(error)}\n`);
    if (error instanceof AgentUnavailableError) err.write(`${WHERE_TO_LOOK}\n`);
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
  if (name === COMPLETE) {
    out.write(kubectlCompletion(COMMANDS, rest));
    return EXIT.ok;
  }
  const command = COMMANDS.find((one) => one.name === name);
  if (command === undefined) throw usageError(unknownCommand(name));
  const given = parse(command, rest);
  if (given.flag('help')) {
    out.write(`${helpOf(command)}\n`);
    return EXIT.ok;
  }
  checkWords(command, given);
  const color = !given.flag('no-color') && wantsColor(env, out.isTTY === true);
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

/** On a terminal, unless NO_COLOR says no (https://no-color.org); elsewhere if FORCE_COLOR says so. */
function wantsColor(env: CliProcess['env'], isTerminal: boolean): boolean {
  if ((env['NO_COLOR'] ?? '') !== '') return false;
  const forced = env['FORCE_COLOR'] ?? '';
  if (forced === '0' || forced === 'false') return false;
  return isTerminal || forced !== '';
}

function unknownCommand(name: string): string {
  const meant = nearestOf(COMMANDS, name);
  const hint = meant === undefined ? '' : `; did you mean "edgecache ${meant}"?`;
  return `there is no such command${hint}; see "edgecache --help"`;
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
