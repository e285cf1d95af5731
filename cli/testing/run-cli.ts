import { PassThrough } from 'node:stream';
import { run } from '../run.ts';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface Setting {
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Whether it prints on a terminal. */
  readonly isTerminal?: boolean;
  /** Told what has been printed so far. */
  readonly printed?: (out: string) => void;
}

/** Runs the command line in this process, with an environment of its own. */
export async function runCli(args: readonly string[], setting: Setting = {}): Promise<Ran> {
  const [out, err] = [new PassThrough(), new PassThrough()];
  const said = { out: '', err: '' };
  out.on('data', (chunk) => {
    said.out += String(chunk);
    setting.printed?.(said.out);
  });
  err.on('data', (chunk) => {
    said.err += String(chunk);
  });
  const code = await run({
    args,
    env: { ...setting.env },
    out: Object.assign(out, { isTTY: setting.isTerminal }),
    err,
    stdin: async () => Buffer.from(setting.stdin ?? ''),
    signal: setting.signal ?? new AbortController().signal,
    version: '1.2.3',
    now: () => performance.now(),
  });
  out.end();
  err.end();
  return { code, ...said };
}
