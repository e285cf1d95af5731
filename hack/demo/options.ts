import { parseArgs } from 'node:util';
import { InvalidInputError } from '../../api/errors.ts';

export interface DemoOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly json: boolean;
  readonly keep: boolean;
  readonly help: boolean;
}

export const HELP = `Usage: npm run demo -- [--seconds N] [--seed N] [--json] [--keep]

Starts a Redis Cluster (three masters, three replicas), the agents of examples/*.yaml as local processes and a GPU
marketplace on them: readers in every region, bookings, cancellations, price changes. Shows what happens and ends by itself.

  --seconds N   length of the measured part, 5 to 3600 (default 20)
  --seed N      makes the same load again (default: a new one, printed)
  --json        prints one JSON object last
  --keep        goes on until Ctrl-C, and prints how to ask it things and what to kill
  --help        this text

Exit code: 0 if every promised target held and no read was stale, 1 if not (a target that the machine is too busy for, as
a bare gRPC echo beside the agents shows, is said and not judged), 2 for wrong arguments, 130 after Ctrl-C.
`;

/** @throws InvalidInputError */
export function parseOptions(args: readonly string[], newSeed: () => number): DemoOptions {
  const { values } = parse(args);
  return {
    seconds: number('--seconds', values.seconds, 20, 5, 3_600),
    seed: number('--seed', values.seed, newSeed(), 0, 2 ** 31),
    json: values.json ?? false,
    keep: values.keep ?? false,
    help: values.help ?? false,
  };
}

function parse(args: readonly string[]) {
  const flag = { type: 'boolean' } as const;
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args: [...args],
      options: { seconds: text, seed: text, json: flag, keep: flag, help: flag },
    });
  } catch (error) {
    const given = error instanceof Error ? error.message : String(error);
    throw new InvalidInputError('the command line', [{ path: 'arguments', given, remedy: 'see --help' }]);
  }
}

function number(path: string, given: string | undefined, preset: number, min: number, max: number): number {
  if (given === undefined) return preset;
  const value = Number(given);
  if (/^\d+$/.test(given) && value >= min && value <= max) return value;
  throw new InvalidInputError('the command line', [
    { path, given: JSON.stringify(given), remedy: `must be a whole number from ${min} to ${max}` },
  ]);
}
