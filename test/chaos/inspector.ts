import { readFileSync } from 'node:fs';
import { until } from '../../hack/local/children.ts';
import type { LocalAgent } from '../../hack/local/local-agent.ts';

const LISTENING = /Debugger listening on (ws:\/\/\S+)/g;

/** Inspectors that are open, by process id. */
const inspectors = new Map<number, string>();

/** Keeps an agent's event loop busy. */
export async function stallEventLoop(agent: LocalAgent, ms: number): Promise<void> {
  await evaluate(agent, `{ const end = performance.now() + ${ms}; while (performance.now() < end); }`);
}

/** Sets an agent's time of day so many milliseconds off; 0: as it is. Its monotonic clock goes on, as the system's does. */
export async function shiftClock(agent: LocalAgent, ms: number): Promise<void> {
  await evaluate(agent, `globalThis.trueNow ??= Date.now; Date.now = () => trueNow() + ${ms};`);
}

/**
 * Runs code in an agent's process through its inspector: no test-only door in the product is needed.
 * The agent must have been started with `--inspect-port=0`.
 */
async function evaluate(agent: LocalAgent, expression: string): Promise<void> {
  const { pid } = agent;
  const known = inspectors.get(pid);
  const before = listening(agent).length;
  agent.signal('SIGUSR1');
  // One that is open already says nothing more.
  const url =
    known ?? (await until('the inspector listens', () => listening(agent)[before], { timeoutMs: 5_000 }));
  inspectors.set(pid, url);
  const socket = new WebSocket(url);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error(`the inspector of ${pid} does not answer`));
  });
  const done = new Promise((resolve) => {
    socket.onmessage = resolve;
    socket.onclose = resolve;
  });
  socket.send(JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression } }));
  await done;
  socket.close();
}

/** Addresses of inspectors that the agent's processes have opened, oldest first. */
function listening({ logFile }: LocalAgent): string[] {
  return [...readFileSync(logFile, 'utf8').matchAll(LISTENING)].map(([, url]) => url ?? '');
}
