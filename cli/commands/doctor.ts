import type { StatsResponse } from '../../client/edge-cache-client.ts';
import type { Asked } from '../agents.ts';
import { type Command, type Context, EXIT, usageError } from '../command.ts';
import { examine, figuresOf } from '../doctor/examine.ts';
import { COMPLAINTS, type Finding } from '../doctor/finding.ts';
import { AGENT_OPTIONS } from '../find-agents.ts';
import { collectTrace } from '../trace/collect.ts';
import { printTraceJson, showTrace } from '../trace/show.ts';
import { wholeNumber } from '../whole-number.ts';
import { allStats } from './fleet.ts';

/** About a megabyte, for one agent to read. */
const DEFAULT_EVENTS = 2_000;
const MOST_EVENTS = 20_000;

export const doctor: Command = {
  name: 'doctor',
  usage: '[NAMESPACE KEY]',
  summary: 'look for stale data, high memory and slow lookups: evidence, cause, remedy',
  details:
    'With a namespace and a key: asks every agent what it holds of it, one of them what Redis has and which events changed it last, and says whether they agree, one is behind within the bound, or one is stale. Exit code 1 if something is wrong.',
  words: [0, 2],
  options: {
    ...AGENT_OPTIONS,
    key: {
      type: 'string',
      value: 'KEY',
      help: 'the key, where it begins with "-" or one likes names better',
    },
    events: {
      type: 'string',
      value: 'COUNT',
      help: `how many events to look back for what changed a key (default ${DEFAULT_EVENTS}, at most ${MOST_EVENTS})`,
    },
  },
  examples: [
    'edgecache doctor -A',
    'edgecache doctor gpu_avail gpu/gpu_42',
    'edgecache doctor gpu_avail --key gpu/gpu_42 --json | jq \'select(.kind == "cache").verdict\'',
  ],
  run: async (context) => {
    const [namespace, word] = context.given.positionals;
    const option = context.given.text('key');
    if (word !== undefined && option !== undefined)
      throw usageError('the key is given twice: as a word and as --key');
    const key = word ?? option;
    if (namespace === undefined && key !== undefined) throw usageError('--key needs a namespace before it');
    if (namespace !== undefined && key === undefined) throw usageError('a namespace needs a key beside it');
    if (namespace !== undefined && key !== undefined) return trace(context, namespace, key);
    const asked = await allStats(context);
    const findings = examine(asked);
    if (context.screen.json) for (const finding of findings) context.screen.printJson(finding);
    else sayFindings(context, asked, findings);
    return findings.some(({ level }) => level === 'error') ? EXIT.failed : EXIT.ok;
  },
};

/** Agents that are named where several have the same. */
const MOST_NAMES = 4;

function sayFindings(
  { screen }: Context,
  asked: readonly Asked<StatsResponse>[],
  findings: readonly Finding[],
): void {
  screen.print(`${asked.length} ${asked.length === 1 ? 'agent' : 'agents'} asked`);
  for (const complaint of COMPLAINTS) {
    const found = grouped(findings.filter((finding) => finding.complaint === complaint));
    const worst = found.some(([{ level }]) => level === 'error') ? 'red' : 'yellow';
    const said =
      found.length > 0
        ? screen.style(worst, `${found.length} found`)
        : asked.every(({ error }) => error !== undefined)
          ? screen.style('yellow', 'cannot tell')
          : screen.style('green', 'nothing found');
    screen.print();
    screen.print(`${screen.style('bold', complaint)}: ${said}`);
    screen.print(`  ${figuresOf(complaint, asked)}`);
    for (const [{ level, evidence, cause, remedy }, agents] of found) {
      screen.print(
        `  ${screen.style(level === 'error' ? 'red' : 'yellow', level)} on ${namesOf(agents)}: ${evidence}`,
      );
      screen.print(`    cause:  ${cause}`);
      screen.print(`    remedy: ${remedy}`);
    }
  }
}

/** What is the same on several agents, such as what they all see of Redis, is said once. */
function grouped(findings: readonly Finding[]): [Finding, string[]][] {
  const groups = new Map<string, [Finding, string[]]>();
  for (const finding of findings) {
    const { level, evidence, cause, agent } = finding;
    const name = `${level} ${evidence} ${cause}`;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [finding, [agent]]);
    else group[1].push(agent);
  }
  return [...groups.values()];
}

function namesOf(agents: readonly string[]): string {
  const names = agents.slice(0, MOST_NAMES).join(', ');
  return agents.length > MOST_NAMES ? `${names} and ${agents.length - MOST_NAMES} more` : names;
}

/** Where one key is, on every node, and what happened to it. */
async function trace(context: Context, namespace: string, key: string): Promise<number> {
  const { screen, given } = context;
  const logEvents = wholeNumber(given, 'events', 0, MOST_EVENTS) ?? DEFAULT_EVENTS;
  const traced = await collectTrace(await context.agents(), { namespace, key, logEvents });
  if (screen.json) printTraceJson(screen, traced);
  else showTrace(screen, traced);
  const isStale = traced.caches.some(({ verdict }) => verdict === 'stale');
  return isStale || traced.failed.length > 0 ? EXIT.failed : EXIT.ok;
}
