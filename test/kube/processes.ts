import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { createServer } from 'node:net';

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** A process that ends with this one, and whose output goes to a file. */
export class Daemon implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #name: string;

  constructor(
    command: string,
    args: readonly string[],
    logFile: string,
    env: NodeJS.ProcessEnv = process.env,
  ) {
    this.#name = command;
    this.#process = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env });
    const log = createWriteStream(logFile);
    this.#process.stdout?.pipe(log, { end: false });
    this.#process.stderr?.pipe(log, { end: false });
    const killed = () => void this.#process.kill('SIGKILL');
    // Also where the test itself is killed or fails outright: a control plane left behind would eat the machine.
    process.once('exit', killed);
    this.#process.once('exit', () => process.off('exit', killed));
    this.#ended = new Promise((resolve) => {
      this.#process.once('exit', () => resolve());
      this.#process.once('error', () => resolve());
    });
  }

  /** Throws where it is not running any more: waiting for it would be in vain. */
  assertAlive(): void {
    if (this.#process.exitCode !== null)
      throw new Error(`${this.#name} ended with ${this.#process.exitCode}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null) this.#process.kill('SIGTERM');
    const force = setTimeout(() => this.#process.kill('SIGKILL'), 5_000);
    await this.#ended;
    clearTimeout(force);
  }
}
