import { readFileSync } from 'node:fs';

/** Calls in so many milliseconds, with so many under way at any time; per second. */
export async function rate(
  inFlight: number,
  ms: number,
  call: (i: number) => Promise<unknown>,
): Promise<number> {
  const beganAt = performance.now();
  const endAt = beganAt + ms;
  let calls = 0;
  const worker = async () => {
    while (performance.now() < endAt) {
      calls += 1;
      await call(calls);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return (calls / (performance.now() - beganAt)) * 1000;
}

/** For calls that are microtasks alone: a turn of the event loop now and then, or no timer and no socket is ever served. */
export async function rateOfMicrotasks(ms: number, call: (i: number) => Promise<unknown>): Promise<number> {
  const beganAt = performance.now();
  let calls = 0;
  while (performance.now() - beganAt < ms) {
    for (let i = 0; i < 20_000; i++) await call(i);
    calls += 20_000;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return (calls / (performance.now() - beganAt)) * 1000;
}

/** Each side's value in each round, in turns: what disturbs one disturbs the other. Medians. */
export async function inTurns(rounds: number, sides: readonly (() => Promise<number>)[]): Promise<number[]> {
  const values = sides.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [at, side] of sides.entries()) values[at]?.push(await side());
  }
  return values.map((each) => quantile(each, 0.5));
}

/** Of values in any order; NaN of none. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

const TICKS_PER_SECOND = 100;

/** Seconds of processor time that a process has used. */
export function cpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Share of a core that each process uses while something runs: whose is near 1 is the limit. */
export async function cpuShares<T>(
  processes: Readonly<Record<string, number>>,
  run: () => Promise<T>,
): Promise<{ readonly result: T; readonly cpu: Record<string, number> }> {
  const before = Object.entries(processes).map(([name, pid]) => ({ name, pid, at: cpuSeconds(pid) }));
  const beganAt = performance.now();
  const result = await run();
  const seconds = (performance.now() - beganAt) / 1000;
  const cpu = Object.fromEntries(
    before.map(({ name, pid, at }) => [name, round((cpuSeconds(pid) - at) / seconds)]),
  );
  return { result, cpu };
}

/** Resident memory of a process in MB. */
export function residentMb(pid: number): number {
  const kb = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kb) / 1000;
}

export function round(value: number): number {
  return Math.round(value * 100) / 100;
}
