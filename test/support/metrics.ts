import type { TestAgent } from './cache.ts';

/** Samples of what an agent serves at /metrics, by their line: name and labels. */
export async function scraped({ http }: Pick<TestAgent, 'http'>): Promise<ReadonlyMap<string, number>> {
  const lines = (await (await http('/metrics')).text()).split('\n');
  return new Map(
    lines
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}
