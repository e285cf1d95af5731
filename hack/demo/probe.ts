import { fileURLToPath } from 'node:url';
import { endChild, startChild } from '../local/children.ts';
import { NODE_FLAGS } from '../local/local-agent.ts';

const MAIN = fileURLToPath(new URL('./probe-main.ts', import.meta.url));

/** What the probe asks. */
export interface Probing {
  /** Of each node, the addresses that its pods use: its own agent first. */
  readonly nodes: readonly (readonly string[])[];
  readonly namespace: string;
  /** By popularity. */
  readonly keys: readonly string[];
  readonly zipfExponent: number;
  /** Lookups on each node. */
  readonly perSecond: number;
  readonly seed: number;
}

/**
 * Measures lookups as a pod sees them: from a process of its own, which asks for one key at a time.
 *
 * The process that makes the load is a whole marketplace in one event loop: what it measured would be mostly
 * how long answers wait for it.
 *
 * @param measured milliseconds of the last second's answers
 */
export function startProbe(
  probing: Probing,
  measured: (latencies: readonly number[]) => void,
): { stop: () => Promise<void> } {
  const child = startChild(process.execPath, [...NODE_FLAGS, MAIN], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  child.on('message', (message) => {
    if (message === 'ready') child.send(probing);
    else if (Array.isArray(message)) measured(message.map(Number));
  });
  return { stop: () => endChild(child, 'SIGTERM') };
}
