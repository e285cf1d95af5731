import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { endChild, startChild } from './children.ts';

const MAIN = fileURLToPath(new URL('./echo-main.ts', import.meta.url));

export interface Echo {
  readonly address: string;
  readonly pid: number;
  readonly stop: () => Promise<void>;
}

/**
 * Starts a bare gRPC server in a process of its own: what no agent can be faster than, on this machine and at this moment.
 * @param flags of Node; the same as an agent's, where they are compared
 */
export async function startEcho(flags: readonly string[]): Promise<Echo> {
  const child = startChild(process.execPath, [...flags, MAIN]);
  const { stdout, pid } = child;
  if (stdout === null || pid === undefined) throw new Error('the echo server did not start');
  const stop = () => endChild(child);
  for await (const line of createInterface({ input: stdout }))
    return { address: `127.0.0.1:${line}`, pid, stop };
  throw new Error('the echo server ended');
}
