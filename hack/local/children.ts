import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** Processes and folders that must not outlive this one, however it ends. */
const children = new Set<ChildProcess>();
const folders = new Set<string>();
let reaper: ChildProcess | undefined;

const REAPER = fileURLToPath(new URL('./reaper.sh', import.meta.url));
/** Signals that end a process which does not listen, with the exit code that a shell would say. */
const DEADLY = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

function install(): ChildProcess {
  if (reaper !== undefined) return reaper;
  process.on('exit', () => {
    for (const child of children) killGroup(child, 'SIGKILL');
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });
  for (const [signal, code] of Object.entries(DEADLY)) {
    // Nobody else listens: then the signal would end this process without the above.
    process.on(signal, () => {
      if (process.listenerCount(signal) === 1) process.exit(code);
    });
  }
  // No handler hears SIGKILL; this one sees its pipe end.
  reaper = spawn('bash', [REAPER], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  reaper.on('error', () => undefined);
  reaper.stdin?.on('error', () => undefined);
  // Neither it nor its pipe is a reason to go on.
  reaper.unref();
  if (reaper.stdin instanceof Socket) reaper.stdin.unref();
  return reaper;
}

/** A child leads a group of its own, with whatever it started. */
function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  } catch {
    // It has just ended.
  }
}

/** Starts a process that is killed when this one ends. */
export function startChild(
  command: string,
  args: readonly string[],
  options: SpawnOptions = {},
): ChildProcess {
  const { stdin } = install();
  // A group of its own: Ctrl-C in a terminal is for this process, which then ends its children in order.
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, ...options });
  children.add(child);
  stdin?.write(`child ${child.pid}\n`);
  child.once('exit', () => {
    children.delete(child);
    stdin?.write(`gone ${child.pid}\n`);
  });
  return child;
}

/** Whether a process has not ended, by whoever's hand. */
export function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

/** Asks a process to end, and insists after a while. */
export async function endChild(
  child: ChildProcess,
  signal: NodeJS.Signals = 'SIGTERM',
  graceMs = 8_000,
): Promise<void> {
  if (!isRunning(child)) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  // A stopped process hears nothing but SIGKILL until it is continued.
  if (signal !== 'SIGKILL') child.kill('SIGCONT');
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
  await ended;
  clearTimeout(timer);
}

/** A fresh folder that is removed when this process ends. */
export function temporaryFolder(name: string): string {
  const { stdin } = install();
  const folder = mkdtempSync(join(tmpdir(), `edgecache-${name}-`));
  folders.add(folder);
  stdin?.write(`folder ${folder}\n`);
  return folder;
}

/** A port of the loopback address that is free now, and was not given to anyone here before. */
const given = new Set<number>();
export async function freePort(): Promise<number> {
  for (;;) {
    const port = await new Promise<number>((resolve, reject) => {
      const server = createServer();
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => {
        const address = server.address();
        server.close(() => resolve(address !== null && typeof address === 'object' ? address.port : 0));
      });
    });
    if (port !== 0 && !given.has(port)) {
      given.add(port);
      return port;
    }
  }
}

/** What a promise brings, or a failure once it has taken too long; it may go on unheard. */
export async function within<T>(timeoutMs: number, what: string, promise: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = delay(timeoutMs, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`no answer in ${timeoutMs} ms: ${what}`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
    late.catch(() => undefined);
  }
}

/** Waits until a condition holds. @throws Error naming what was waited for, with the last failure. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  { timeoutMs = 15_000, everyMs = 20 }: { timeoutMs?: number; everyMs?: number } = {},
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  let failure: unknown;
  for (;;) {
    try {
      // A condition that asks something may never be answered.
      const left = Math.max(everyMs, deadline - performance.now());
      const value = await within(left, what, Promise.resolve().then(condition));
      if (value) return value;
      failure = undefined;
    } catch (error) {
      failure = error;
    }
    if (performance.now() > deadline) {
      throw new Error(`waited ${timeoutMs} ms in vain: ${what}`, { cause: failure });
    }
    await delay(everyMs);
  }
}
