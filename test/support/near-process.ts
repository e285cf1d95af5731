import type { ChildProcess } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { endChild, startChild } from '../../hack/local/children.ts';

export interface NearProcessOptions {
  readonly address: string;
  readonly namespace: string;
  readonly key: string;
}

const MAIN = fileURLToPath(new URL('./near-process-main.ts', import.meta.url));

/** An application with a near cache in a process of its own, which can be frozen. It looks a key up for each line that it is sent. */
export class NearProcess {
  readonly #child: ChildProcess;
  readonly #lines: Interface;

  private constructor(child: ChildProcess, lines: Interface) {
    this.#child = child;
    this.#lines = lines;
  }

  static async start({ address, namespace, key }: NearProcessOptions): Promise<NearProcess> {
    const child = startChild(process.execPath, [MAIN, address, namespace, key], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    if (child.stdout === null) throw new Error('no output');
    const near = new NearProcess(child, createInterface({ input: child.stdout }));
    await near.#line();
    return near;
  }

  /** What its lookup finds. */
  async ask(): Promise<Record<string, unknown>> {
    const answer = this.#line();
    this.#child.stdin?.write('\n');
    return Object(JSON.parse(await answer));
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async stop(): Promise<void> {
    this.#lines.close();
    await endChild(this.#child, 'SIGKILL');
  }

  #line(): Promise<string> {
    return new Promise((resolve) => this.#lines.once('line', resolve));
  }
}
