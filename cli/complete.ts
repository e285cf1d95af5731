import type { Command } from './command.ts';
import { COMMON_OPTIONS } from './help.ts';

/** What may stand first on a command line. */
export function wordsOf(commands: readonly Command[]): string[] {
  return [...commands.map(({ name }) => name), 'help', '--help', '--version'];
}

/** Options of a command, as they are written. */
export function optionNamesOf({ options }: Command): string[] {
  return Object.keys({ ...options, ...COMMON_OPTIONS }).map((name) => `--${name}`);
}

/** What the last of some words may be, the one that is being written; the others stand before it. */
export function candidatesOf(commands: readonly Command[], words: readonly string[]): string[] {
  const begun = words.at(-1) ?? '';
  const beginning = (all: readonly string[]) => all.filter((word) => word.startsWith(begun));
  if (words.length <= 1) return beginning(wordsOf(commands));
  if (words[0] === 'help') return beginning(commands.map(({ name }) => name));
  const command = commands.find(({ name }) => name === words[0]);
  return command === undefined ? [] : beginning([...(command.completes ?? []), ...optionNamesOf(command)]);
}

/** The command that somebody meant who wrote another word, if one is near it. */
export function nearestOf(commands: readonly Command[], word: string): string | undefined {
  const near = commands
    .map(({ name }) => ({ name, distance: distanceOf(word, name) }))
    .sort((a, b) => a.distance - b.distance)[0];
  // Two letters that changed places are two slips.
  return near !== undefined && near.distance <= (word.length < 3 ? 1 : 2) ? near.name : undefined;
}

/** Insertions, deletions and replacements between two words (Levenshtein). */
function distanceOf(a: string, b: string): number {
  let before = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (before[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(replaced, (before[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    before = row;
  }
  return before[b.length] ?? 0;
}
