import { spawnSync } from 'node:child_process';
import { run } from '../../cli/run.ts';
import { block, type Page } from './markdown.ts';

/** Help texts of the commands that users run. */
export async function commandsPage(): Promise<Page> {
  const all = await helpOf(['--help']);
  const names = [...all.matchAll(/^ {2}([a-z-]+) /gm)].map(([, name = '']) => name);
  const each: string[] = [];
  for (const name of names) each.push(`## edgecache ${name}`, block('text', await helpOf([name, '--help'])));
  return {
    name: 'commands',
    title: 'Commands',
    summary: '`edgecache`, `kubectl edgecache` and the agent: all their help texts',
    source: 'cli/ and agent/main.ts',
    body: ['## edgecache', block('text', all), ...each, '## The agent', block('text', agentHelp())].join(
      '\n\n',
    ),
  };
}

async function helpOf(args: readonly string[]): Promise<string> {
  let text = '';
  const write = (chunk: string) => {
    text += chunk;
    return true;
  };
  const exitCode = await run({
    args,
    env: {},
    out: { write } as never,
    err: { write } as never,
    stdin: async () => Buffer.alloc(0),
    signal: new AbortController().signal,
    version: '',
    now: () => 0,
  });
  if (exitCode !== 0) throw new Error(`edgecache ${args.join(' ')}: exit code ${exitCode}\n${text}`);
  return text;
}

function agentHelp(): string {
  const { stdout, status } = spawnSync(process.execPath, ['agent/main.ts', '--help'], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`agent/main.ts --help: exit code ${status}`);
  return stdout;
}
