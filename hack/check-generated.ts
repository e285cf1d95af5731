import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { documentationProblems } from './check-docs.ts';
import { outdatedMonitoring } from './generate-monitoring.ts';
import { outdatedReference } from './generate-reference.ts';

/** Fails where generated files are not what their sources generate now, or documentation does not hold. */
const FILE = 'edgecache/v1/edgecache.ts';

const outdated = [...outdatedWire(), ...outdatedMonitoring(), ...(await outdatedReference())];
if (outdated.length > 0)
  process.stderr.write(`out of date: ${outdated.join(', ')}; run npm run generate and commit the result\n`);
const problems = documentationProblems();
for (const problem of problems) process.stderr.write(`${problem}\n`);
if (outdated.length + problems.length > 0) process.exitCode = 1;

function outdatedWire(): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'edgecache-generated-'));
  try {
    execFileSync('buf', ['lint'], { stdio: 'inherit' });
    execFileSync('buf', ['generate', '-o', folder], { stdio: 'inherit' });
    const fresh = readFileSync(join(folder, 'proto/gen', FILE), 'utf8');
    return fresh === readFileSync(join('proto/gen', FILE), 'utf8') ? [] : [`proto/gen/${FILE}`];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
