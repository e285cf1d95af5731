import type { Command, Options } from './command.ts';

const WIDTH = 30;
/** Longest line, where words allow. */
const LINE = 110;

/** Options that every command has. */
export const COMMON_OPTIONS: Options = {
  json: { type: 'boolean', help: 'one JSON object a line, for programs' },
  'no-color': {
    type: 'boolean',
    help: 'no colours, as with NO_COLOR; without a terminal there are none but with FORCE_COLOR',
  },
  help: { type: 'boolean', short: 'h', help: 'this text' },
};

export function helpOfAll(commands: readonly Command[]): string {
  return [
    'Usage: edgecache COMMAND [OPTION...]        also: kubectl edgecache COMMAND',
    '',
    'Asks the agents of an Edge Cache: those of the cluster that the kubeconfig names, or those that --address names.',
    '',
    ...commands.map(
      ({ name, usage, summary }) => `  ${hang(`${name} ${usage}`.trimEnd().padEnd(WIDTH), summary)}`,
    ),
    '',
    '"edgecache COMMAND --help" says more, with examples.',
    '',
    EXIT_CODES,
  ].join('\n');
}

export function helpOf({ name, usage, summary, details, options, examples }: Command): string {
  return [
    `Usage: edgecache ${`${name} ${usage}`.trimEnd()} [OPTION...]`,
    '',
    ...wrap(
      `${summary[0]?.toUpperCase()}${summary.slice(1)}.${details === undefined ? '' : ` ${details}`}`,
      LINE,
    ),
    '',
    ...Object.entries({ ...options, ...COMMON_OPTIONS }).map(([long, { short, value, help }]) => {
      const names = `${short === undefined ? '    ' : `-${short}, `}--${long}${value === undefined ? '' : ` ${value}`}`;
      // A long name gets its text on a line of its own.
      return names.length < WIDTH
        ? `  ${hang(names.padEnd(WIDTH), help)}`
        : `  ${names}\n  ${hang(' '.repeat(WIDTH), help)}`;
    }),
    '',
    'Examples:',
    ...examples.map((example) => `  ${example}`),
    '',
    EXIT_CODES,
  ].join('\n');
}

const EXIT_CODES =
  'Exit codes: 0 well, 1 failed, 2 wrong arguments, 4 no such entry, 5 cannot tell (Redis away), 130 after Ctrl-C.';

/** A text beside a name of WIDTH, its further lines below its first. */
function hang(name: string, text: string): string {
  return `${name}${wrap(text, LINE - WIDTH - 2).join(`\n  ${' '.repeat(WIDTH)}`)}`;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
