import type { Logger } from 'pino';
import type { AgentConfig } from '../../api/agent-config.ts';
import type { L1 } from '../cache/l1.ts';
import { cgroupUse, heapUse, type MemoryUse } from './memory-sources.ts';
import { Pressure, ratioOf } from './pressure.ts';

export interface L1SizeParts {
  readonly config: () => AgentConfig;
  readonly l1: L1;
  /** Whatever else is as large as L1. */
  readonly follow: (entries: number) => void;
  /** What may run short. */
  readonly memory: () => readonly MemoryUse[];
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly log: Logger;
}

/** L1 as large as the configuration says, as far as memory allows. */
export class L1Size {
  readonly #parts: L1SizeParts;
  readonly pressure: Pressure;

  constructor(parts: L1SizeParts) {
    this.#parts = parts;
    const { l1, log, memory, now } = parts;
    this.pressure = new Pressure({
      sources: memory,
      now,
      fill: () => {
        const { maxEntries, maxBytes } = l1.limits;
        return Math.max(l1.entries / maxEntries, l1.bytes / maxBytes);
      },
      resize: (share, fullest) => {
        this.apply();
        const fields = { ...said(fullest), l1Percent: Math.round(share * 100), entries: l1.entries };
        if (share < 1) log.warn(fields, 'memory pressure: L1 resized');
        else log.info(fields, 'memory pressure is over: L1 has its size again');
      },
      exhausted: (fullest) => {
        log.error(
          said(fullest),
          'memory is short, and L1 is as small as it gets: raise the memory limit of the agent',
        );
      },
    });
  }

  /** Resizes L1 after a change of the configuration or of the memory that is free. */
  apply(): void {
    const { config, l1: cache, follow, now } = this.#parts;
    const { namespaces, l1 } = config();
    const { share } = this.pressure;
    const atMost = (most: number) => Math.max(1, Math.floor(most * share));
    const limits = { ...l1, maxEntries: atMost(l1.maxEntries), maxBytes: atMost(l1.maxBytes) };
    cache.configure(namespaces, limits, now());
    follow(limits.maxEntries);
  }
}

/** The container's memory, where it is limited, and V8's heap. */
export function availableMemory(): MemoryUse[] {
  const cgroup = cgroupUse();
  return cgroup === undefined ? [heapUse()] : [cgroup, heapUse()];
}

function said(use: MemoryUse) {
  return { memory: use.name, usedPercent: Math.round(ratioOf(use) * 100) };
}
