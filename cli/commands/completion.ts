import { type Command, EXIT, usageError } from '../command.ts';
import { candidatesOf, optionNamesOf, wordsOf } from '../complete.ts';
import { COMMON_OPTIONS } from '../help.ts';

const SHELLS = ['bash', 'zsh', 'fish'];
/** Names that the command line goes by: kubectl’s plugin is run by its own name too. */
const NAMES = ['edgecache', 'kubectl-edgecache'];

/** @param commands all of them; told late, because this is one of them. */
export function completionOf(commands: () => readonly Command[]): Command {
  return {
    name: 'completion',
    usage: SHELLS.join('|'),
    summary: 'a script that completes commands and options in your shell',
    details:
      'Put what it prints where your shell finds it at its start, or source it. "kubectl edgecache" completes by itself where kubectl_complete-edgecache is on the PATH, which the packed command line brings along.',
    words: [1, 1],
    options: {},
    completes: SHELLS,
    examples: [
      'source <(edgecache completion bash)',
      'source <(edgecache completion zsh)',
      'edgecache completion fish >~/.config/fish/completions/edgecache.fish',
    ],
    run: async ({ given, screen }) => {
      const [shell = ''] = given.positionals;
      if (!SHELLS.includes(shell))
        throw usageError(`completion: ${JSON.stringify(shell)} must be ${SHELLS.join(', ')}`);
      screen.print(shell === 'fish' ? fish(commands()) : bash(commands(), shell === 'zsh'));
      return EXIT.ok;
    },
  };
}

/** What kubectl asks a plugin for: candidates for the last word, then how to treat them (cobra: 4, no files). */
export function kubectlCompletion(commands: readonly Command[], words: readonly string[]): string {
  return [...candidatesOf(commands, words), ':4', ''].join('\n');
}

function bash(commands: readonly Command[], isZsh: boolean): string {
  const cases = commands.map(
    (one) => `      ${one.name}) words='${[...optionNamesOf(one), ...(one.completes ?? [])].join(' ')}' ;;`,
  );
  return [
    ...(isZsh ? ['autoload -Uz compinit bashcompinit', 'compinit', 'bashcompinit'] : []),
    '_edgecache() {',
    '  local current="$2" words=',
    '  if (( COMP_CWORD == 1 )); then',
    `    words='${wordsOf(commands).join(' ')}'`,
    '  else',
    `    case "\${COMP_WORDS[1]}" in`,
    `      help) words='${commands.map(({ name }) => name).join(' ')}' ;;`,
    ...cases,
    '    esac',
    '  fi',
    '  COMPREPLY=($(compgen -W "$words" -- "$current"))',
    '}',
    `complete -F _edgecache ${NAMES.join(' ')}`,
  ].join('\n');
}

function fish(commands: readonly Command[]): string {
  const quote = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  return NAMES.flatMap((name) => [
    `complete -c ${name} -f`,
    ...commands.flatMap((one) => {
      const seen = `-n '__fish_seen_subcommand_from ${one.name}'`;
      return [
        `complete -c ${name} -n __fish_use_subcommand -a ${one.name} -d ${quote(one.summary)}`,
        ...Object.entries({ ...one.options, ...COMMON_OPTIONS }).map(
          ([long, { help, short, type }]) =>
            `complete -c ${name} ${seen} -l ${long}${short === undefined ? '' : ` -s ${short}`}${type === 'string' ? ' -x' : ''} -d ${quote(help)}`,
        ),
        ...(one.completes === undefined
          ? []
          : [`complete -c ${name} ${seen} -a '${one.completes.join(' ')}'`]),
      ];
    }),
  ]).join('\n');
}
