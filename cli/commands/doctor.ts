import { bytes } from '../../client/codec.ts';
import type { Found } from '../../client/options.ts';
import type { Asked } from '../agents.ts';
import { type Command, type Context, EXIT, usageError } from '../command.ts';
import { COMPLAINTS, examine, type Finding } from '../doctor.ts';
import { AGENT_OPTIONS } from '../find-agents.ts';
import { duration } from '../screen.ts';
import { allStats } from './fleet.ts';

export const doctor: Command = {
  name: 'doctor',
  usage: '[NAMESPACE KEY]',
  summary: 'look for stale data, high memory and slow lookups: evidence, cause, remedy',
  details:
    'With a namespace and a key: asks every agent for it, and says who answers from where with which version. Exit code 1 if something is wrong.',
  words: [0, 2],
  options: AGENT_OPTIONS,
  examples: ['edgecache doctor -A', 'edgecache doctor gpu_avail gpu/gpu_42'],
  run: async (context) => {
    const [namespace, key] = context.given.positionals;
    if (namespace !== undefined && key === undefined) throw usageError('a namespace needs a key beside it');
    if (namespace !== undefined && key !== undefined) return trace(context, namespace, key);
    const asked = await allStats(context);
    const findings = examine(asked);
    if (context.screen.json) for (const finding of findings) context.screen.printJson(finding);
    else sayFindings(context, asked.length, findings);
    return findings.some(({ level }) => level === 'error') ? EXIT.failed : EXIT.ok;
  },
};

function sayFindings({ screen }: Context, agents: number, findings: readonly Finding[]): void {
  screen.print(`${agents} ${agents === 1 ? 'agent' : 'agents'} asked`);
  for (const complaint of COMPLAINTS) {
    const found = findings.filter((finding) => finding.complaint === complaint);
    const worst = found.some(({ level }) => level === 'error') ? 'red' : 'yellow';
    const said =
      found.length === 0
        ? screen.style('green', 'nothing found')
        : screen.style(worst, `${found.length} found`);
    screen.print();
    screen.print(`${screen.style('bold', complaint)}: ${said}`);
    for (const { agent, level, evidence, cause, remedy } of found) {
      screen.print(`  ${screen.style(level === 'error' ? 'red' : 'yellow', level)} on ${agent}: ${evidence}`);
      screen.print(`    cause:  ${cause}`);
      screen.print(`    remedy: ${remedy}`);
    }
  }
}

/** Where one key is, on every node. */
async function trace(context: Context, namespace: string, key: string): Promise<number> {
  const { screen } = context;
  const agents = await context.agents();
  const asked = await agents.each((client) => client.get(namespace, key, { codec: bytes }));
  if (screen.json) for (const one of asked) screen.printJson(toJson(one));
  else screen.table([['AGENT', 'ANSWER', 'VERSION', 'WRITTEN', 'LEFT', 'BYTES'], ...asked.map(toRow)]);
  const versions = new Set(asked.flatMap(({ value }) => (value?.status === 'hit' ? [value.version] : [])));
  if (versions.size <= 1) return asked.some(({ error }) => error !== undefined) ? EXIT.failed : EXIT.ok;
  screen.note(
    `${versions.size} versions: it changed while it was asked for, or an agent is within its staleness bound; ask again`,
  );
  return EXIT.failed;
}

function toRow({ name, value, error }: Asked<Found<Buffer>>): string[] {
  if (value === undefined) return [name, `error: ${error.message}`];
  if (value.status === 'miss') return [name, 'no entry'];
  if (value.status === 'degraded') return [name, 'cannot tell: Redis is out of its reach'];
  const { version, ttlMs } = value;
  const written = writtenAt(version);
  if (value.status === 'absent') return [name, 'known to be absent', version, written, duration(ttlMs), '0'];
  const source = value.source === 'l1' ? 'memory' : 'Redis';
  return [
    name,
    `${source}${value.stale ? ', stale' : ''}`,
    version,
    written,
    duration(ttlMs),
    String(value.value.length),
  ];
}

/** A version begins with the milliseconds of Redis' clock at its change, or at the last change before its fill. */
function writtenAt(version: string): string {
  return new Date(Number(version.split('-')[0])).toISOString();
}

function toJson({ name, value, error }: Asked<Found<Buffer>>): unknown {
  if (value === undefined) return { name, error: error.message };
  if (value.status !== 'hit') return { name, ...value };
  return { name, ...value, value: value.value.toString('base64'), written: writtenAt(value.version) };
}
