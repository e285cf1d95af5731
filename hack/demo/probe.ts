import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { endChild, startChild } from '../local/children.ts';
import { NODE_FLAGS } from '../local/local-agent.ts';

const measuredSchema = z.object({ lookups: z.array(z.number()), echo: z.array(z.number()) });

const MAIN = fileURLToPath(new URL('./probe-main.ts', import.meta.url));

/** What the probe asks. */
export interface Probing {
  /** Of each node, the addresses that its pods use: its own agent first. */
  readonly nodes: readonly (readonly string[])[];
  readonly namespace: string;
  /** By popularity. */
  readonly keys: readonly string[];
  readonly zipfExponent: number;
  /** A bare gRPC server, asked as often as one node: what is slow there is the machine. */
  readonly echo: string;
  /** Lookups on each node. */
  readonly perSecond: number;
  readonly seed: number;
}

/** Milliseconds that the last second's answers took. */
export interface Measured {
  readonly lookups: number[];
  readonly echo: number[];
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
  measured: (measured: Measured) => void,
): { stop: () => Promise<void> } {
  const child = startChild(process.execPath, [...NODE_FLAGS, MAIN], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  child.on('message', (message) => {
    if (message === 'ready') child.send(probing);
    else measured(measuredSchema.parse(message));
  });
  return { stop: () => endChild(child, 'SIGTERM') };
}
