import { type Command, EXIT, usageError } from '../command.ts';

const SHELLS = ['bash', 'zsh', 'fish'];

/** @param commands all of them; told late, because this is one of them. */
export function completionOf(commands: () => readonly Command[]): Command {
  return {
    name: 'completion',
    usage: 'bash|zsh|fish',
    summary: 'a script that completes commands and options in your shell',
    words: [1, 1],
    options: {},
    examples: ['source <(edgecache completion bash)', 'edgecache completion fish | source'],
    run: async ({ given, screen }) => {
      const [shell = ''] = given.positionals;
      if (!SHELLS.includes(shell))
        throw usageError(`completion: ${JSON.stringify(shell)} must be ${SHELLS.join(', ')}`);
      screen.print(shell === 'fish' ? fish(commands()) : bash(commands(), shell === 'zsh'));
      return EXIT.ok;
    },
  };
}

function optionsOf({ options }: Command): string[] {
  return [...Object.keys(options), 'json', 'help'].map((name) => `--${name}`);
}

function bash(commands: readonly Command[], isZsh: boolean): string {
  const cases = commands.map((one) => `    *" ${one.name} "*) words='${optionsOf(one).join(' ')}' ;;`);
  return [
    ...(isZsh ? ['autoload -U +X bashcompinit && bashcompinit'] : []),
    '_edgecache() {',
    '  local words current="$2"',
    '  case $COMP_LINE in',
    ...cases,
    `    *) words='${commands.map(({ name }) => name).join(' ')} --help --version' ;;`,
    '  esac',
    `  (( COMP_CWORD == 1 )) && words='${commands.map(({ name }) => name).join(' ')} --help --version'`,
    '  COMPREPLY=($(compgen -W "$words" -- "$current"))',
    '}',
    'complete -F _edgecache edgecache',
  ].join('\n');
}

function fish(commands: readonly Command[]): string {
  const quote = (text: string) => `'${text.replaceAll("'", "\\'")}'`;
  return commands
    .flatMap((one) => [
      `complete -c edgecache -f -n __fish_use_subcommand -a ${one.name} -d ${quote(one.summary)}`,
      ...Object.entries(one.options).map(
        ([name, { help }]) =>
          `complete -c edgecache -n '__fish_seen_subcommand_from ${one.name}' -l ${name} -d ${quote(help)}`,
      ),
    ])
    .join('\n');
}
