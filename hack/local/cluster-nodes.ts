/** Slots of a Redis Cluster. */
export const SLOTS = 16_384;

/** A line of what CLUSTER NODES answers. */
export interface NodeLine {
  readonly id: string;
  readonly port: number;
  readonly flags: readonly string[];
  /** Ranges such as `0-5460 7000`, without the slots that are on the move. */
  readonly slots: string;
}

export function parseNodes(text: string): NodeLine[] {
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const [id = '', address = '', flags = '', , , , , , ...slots] = line.split(' ');
      const port = Number(/:(\d+)@/.exec(address)?.[1]);
      return {
        id,
        port,
        flags: flags.split(','),
        slots: slots.filter((part) => !part.startsWith('[')).join(' '),
      };
    });
}

/** Whether a node serves slots and is not known to have failed. `fail?` is a suspicion of one node, not yet a failure. */
export function servesSlots({ flags, slots }: NodeLine): boolean {
  return flags.includes('master') && !flags.includes('fail') && slots !== '';
}

export function countSlots(slots: string): number {
  return ranges(slots).reduce((sum, [from, to]) => sum + to - from + 1, 0);
}

export function hasSlot(slots: string, slot: number): boolean {
  return ranges(slots).some(([from, to]) => slot >= from && slot <= to);
}

function ranges(slots: string): [number, number][] {
  if (slots === '') return [];
  return slots.split(' ').map((part) => {
    const [from = '0', to = from] = part.split('-');
    return [Number(from), Number(to)];
  });
}
