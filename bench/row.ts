/** One line of the bench: a figure of ours, with a peer's of the same run where there is one. */
export interface Row {
  readonly what: string;
  readonly unit: 'per second' | 'ms' | 'µs' | 'MB' | 'share' | 'percent' | 'reads';
  readonly ours: number;
  readonly peer?: { readonly name: string; readonly value: number };
  /** What was promised, and whether it holds. */
  readonly goal?: { readonly text: string; readonly met: boolean };
  /** Share of a core that each process used meanwhile. */
  readonly cpu?: Readonly<Record<string, number>>;
}

/** Several rows that need the same things started. */
export interface Group {
  readonly name: string;
  readonly about: string;
  readonly run: (context: BenchContext) => Promise<Row[]>;
}

export interface BenchContext {
  /** Times that each side of a row is measured. */
  readonly rounds: number;
  /** Length of one measurement. */
  readonly roundMs: number;
  readonly say: (line: string) => void;
}

/** Ours in terms of the peer: above 1 is better, whatever the unit. */
export function ratioOf({ unit, ours, peer }: Row): number | undefined {
  if (peer === undefined) return undefined;
  return unit === 'per second' || unit === 'percent' ? ours / peer.value : peer.value / ours;
}

export function toCells(row: Row): string[] {
  const { what, unit, ours, peer, goal, cpu = {} } = row;
  const ratio = ratioOf(row);
  const busy = Object.entries(cpu).map(([name, share]) => `${name} ${Math.round(share * 100)} %`);
  return [
    what,
    show(ours, unit),
    peer === undefined ? '' : `${show(peer.value, unit)} ${peer.name}`,
    ratio === undefined ? '' : `${ratio.toFixed(2)}×`,
    goal === undefined ? '' : `${goal.text}: ${goal.met ? 'met' : 'NOT MET'}`,
    busy.join(', '),
  ];
}

export function show(value: number, unit: Row['unit']): string {
  if (unit === 'per second') return `${Math.round(value).toLocaleString('en-US')}/s`;
  if (unit === 'share') return `${Math.round(value * 100)} % of a core`;
  if (unit === 'percent') return `${value.toFixed(1)} %`;
  return `${value.toFixed(unit === 'ms' || unit === 'µs' || unit === 'reads' ? 2 : 0)} ${unit}`;
}
