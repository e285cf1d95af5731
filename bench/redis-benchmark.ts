import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/**
 * Requests a second of `redis-benchmark`, which is the reference load generator of Redis itself.
 * @param connections each with one request under way.
 */
export async function redisBenchmark(port: number, connections: number, requests: number): Promise<number> {
  const common = ['-h', '127.0.0.1', '-p', String(port), '-d', '512', '--csv'];
  const args = [...common, '-t', 'get', '-c', String(connections), '-n', String(requests)];
  const { stdout } = await promisify(execFile)('redis-benchmark', args);
  return parseCsv(stdout, 'GET');
}

/** Fills the one key that `redis-benchmark -t get` asks for. */
export async function fillForRedisBenchmark(port: number): Promise<void> {
  const args = [
    '-h',
    '127.0.0.1',
    '-p',
    String(port),
    '-d',
    '512',
    '-t',
    'set',
    '-n',
    '10',
    '-c',
    '1',
    '--csv',
  ];
  await promisify(execFile)('redis-benchmark', args);
}

/** @throws Error where the output names no such test. */
export function parseCsv(csv: string, test: string): number {
  const line = csv.split('\n').find((each) => each.startsWith(`"${test}"`));
  const rate = Number(line?.split(',')[1]?.replaceAll('"', ''));
  if (!(rate > 0)) throw new Error(`redis-benchmark said nothing of ${test}: ${csv.slice(0, 200)}`);
  return rate;
}
