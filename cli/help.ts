import type { Command, Options } from './command.ts';

const WIDTH = 30;

/** Options that every command has. */
export const COMMON_OPTIONS: Options = {
  json: { type: 'boolean', help: 'one JSON object a line, for programs' },
  'no-color': {
    type: 'boolean',
    help: 'no colours (NO_COLOR does the same); none without a terminal anyway',
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
      ({ name, usage, summary }) => `  ${`${name} ${usage}`.trimEnd().padEnd(WIDTH)}${summary}`,
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
    `${summary[0]?.toUpperCase()}${summary.slice(1)}.${details === undefined ? '' : ` ${details}`}`,
    '',
    ...Object.entries({ ...options, ...COMMON_OPTIONS }).map(([long, { short, value, help }]) => {
      const names = `${short === undefined ? '    ' : `-${short}, `}--${long}${value === undefined ? '' : ` ${value}`}`;
      // A long name gets its text on a line of its own.
      return names.length < WIDTH
        ? `  ${names.padEnd(WIDTH)}${help}`
        : `  ${names}\n  ${' '.repeat(WIDTH)}${help}`;
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
