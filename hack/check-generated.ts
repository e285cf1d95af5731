import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Fails where generated files are not what their sources generate now. `npm run generate` mends it. */
const FILE = 'edgecache/v1/edgecache.ts';
const folder = mkdtempSync(join(tmpdir(), 'edgecache-generated-'));
try {
  execFileSync('buf', ['lint'], { stdio: 'inherit' });
  execFileSync('buf', ['generate', '-o', folder], { stdio: 'inherit' });
  const fresh = readFileSync(join(folder, 'proto/gen', FILE), 'utf8');
  if (fresh !== readFileSync(join('proto/gen', FILE), 'utf8')) {
    process.stderr.write(`proto/gen/${FILE} is out of date: run npm run generate and commit the result\n`);
    process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
