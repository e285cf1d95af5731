import { type ChildProcess, spawn } from 'node:child_process';
import { delimiter } from 'node:path';
import { ROOT, TOOLS_DIR } from './settings.ts';

/** A command that ended badly, with what it said. */
export class CommandError extends Error {
  readonly stderr: string;

  constructor(command: string, ending: string, stderr: string) {
    super(`${command}: ${ending}${stderr === '' ? '' : `\n${stderr.trim()}`}`);
    this.name = 'CommandError';
    this.stderr = stderr;
  }
}

export interface CommandOptions {
  readonly input?: string;
  readonly kubeConfig?: string;
  readonly signal?: AbortSignal | undefined;
  /** Shows what it writes to stderr as it comes: for steps that take long and say how far they are. */
  readonly isTalkative?: boolean;
}

/** Time for a script to remove what it has half made. */
const GRACE_MS = 30_000;

/** Environment in which the tools of hack/kind come first. */
export function toolEnvironment(kubeConfig?: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    PATH: [TOOLS_DIR, process.env['PATH'] ?? ''].join(delimiter),
    ...(kubeConfig === undefined ? {} : { KUBECONFIG: kubeConfig }),
  };
}

/** Starts a command of the repository's root in a process group of its own, so that Ctrl-C reaches it through us alone. */
export function start(command: string, args: readonly string[], kubeConfig?: string): ChildProcess {
  return spawn(command, args, { cwd: ROOT, env: toolEnvironment(kubeConfig), detached: true });
}

/** Runs a command to its end and returns what it printed. An abort interrupts it and waits for it to clean up. */
export async function run(
  command: string,
  args: readonly string[],
  { input, kubeConfig, signal, isTalkative = false }: CommandOptions = {},
): Promise<string> {
  signal?.throwIfAborted();
  const child = start(command, args, kubeConfig);
  const interrupt = () => stop(child);
  signal?.addEventListener('abort', interrupt, { once: true });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8');
    child[name]?.on('data', (text: string) => {
      output[name] += text;
      if (isTalkative && name === 'stderr') process.stderr.write(text);
    });
  }
  // It may end without reading; its exit code says more than a broken pipe.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input ?? '');
  try {
    const ending = await endOf(child);
    signal?.throwIfAborted();
    if (ending !== 'exit code 0')
      throw new CommandError([command, ...args].join(' '), ending, isTalkative ? '' : output.stderr);
    return output.stdout;
  } finally {
    signal?.removeEventListener('abort', interrupt);
  }
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, killer) =>
      resolve(killer === null ? `exit code ${code}` : `ended by ${killer}`),
    );
  });
}

function stop(child: ChildProcess): void {
  const { pid } = child;
  if (pid === undefined || child.exitCode !== null) return;
  const tell = (signal: NodeJS.Signals) => {
    try {
      process.kill(-pid, signal);
    } catch {
      // ended meanwhile
    }
  };
  tell('SIGINT');
  const force = setTimeout(() => tell('SIGKILL'), GRACE_MS);
  child.once('close', () => clearTimeout(force));
}
