import { readFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { z } from 'zod';
import { EXIT } from './command.ts';
import { run } from './run.ts';

const interrupt = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => {
    interrupt.abort();
    // What does not end by itself, such as a connection that is being made, must not keep who pressed Ctrl-C; a load has
    // its keys to take away first. Who presses it again ends it at once.
    setTimeout(() => process.exit(EXIT.interrupted), 3_000).unref();
  });
}
// Whoever reads, such as head, may have had enough.
process.stdout.on('error', () => process.exit(EXIT.ok));

const { version } = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')));

process.exitCode = await run({
  args: process.argv.slice(2),
  env: process.env,
  out: process.stdout,
  err: process.stderr,
  stdin: () => buffer(process.stdin),
  signal: interrupt.signal,
  version,
  now: () => performance.now(),
});
// Connections that are being given up must not keep a command that has ended.
process.exit();
