import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { endChild, startChild } from '../../hack/local/children.ts';
import type { Stack } from '../stack.ts';

const MAIN = fileURLToPath(new URL('./echo-main.ts', import.meta.url));

/** Starts the bare gRPC server in a process of its own. */
export async function startEcho(stack: Stack): Promise<{ readonly address: string; readonly pid: number }> {
  // The same flags as an agent's.
  const child = startChild(process.execPath, [...process.execArgv, MAIN]);
  stack.defer(() => endChild(child));
  if (child.stdout === null || child.pid === undefined) throw new Error('the echo server did not start');
  const { pid } = child;
  for await (const line of createInterface({ input: child.stdout }))
    return { address: `127.0.0.1:${line}`, pid };
  throw new Error('the echo server ended');
}
