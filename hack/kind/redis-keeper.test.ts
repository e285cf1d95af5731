import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const KEEPER = fileURLToPath(new URL('redis-keeper.sh', import.meta.url));
/** Sorts before the address that was there all along. */
const NEW = '10.0.0.10';
const OLD = '10.0.0.2';
const DEAD = 'dead 10.0.0.3:6379@16379 master,fail - 0 0 1 disconnected';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keeper-'));
  await stub('getent', `printf '%s STREAM\\n' ${NEW} ${OLD}`);
  await stub('redis-cli', `echo "$*" >>${folder}/asked; cat "${folder}/$2 $6" 2>/dev/null || echo OK`);
  // One round is enough.
  await stub('sleep', 'kill -TERM $PPID');
});
afterEach(() => rm(folder, { recursive: true }));

const stub = (name: string, text: string) =>
  writeFile(join(folder, name), `#!/usr/bin/env bash\n${text}\n`, { mode: 0o755 });

interface View {
  readonly slots: number;
  readonly nodes: readonly string[];
}

async function sees(ip: string, { slots, nodes }: View): Promise<void> {
  const info = [`cluster_slots_assigned:${slots}`, `cluster_known_nodes:${nodes.length}`];
  await writeFile(join(folder, `${ip} info`), `${info.join('\n')}\n`);
  await writeFile(join(folder, `${ip} nodes`), `${nodes.join('\n')}\n`);
}

/** What the keeper asked of pods in one round, beside their views. */
async function orders(): Promise<string[]> {
  const env = { PATH: `${folder}:${process.env['PATH']}`, SERVICE: 'redis', MEMBERS: '6' };
  await once(spawn('bash', [KEEPER], { env, stdio: 'ignore' }), 'close');
  const asked = (await readFile(join(folder, 'asked'), 'utf8')).trim().split('\n');
  return asked.filter((line) => !/ cluster (info|nodes)$/.test(line));
}

const replica = (ip: string) => `replica ${ip}:6379@16379 myself,slave other 0 0 1 connected`;

test('a failed master is not forgotten while a replica has yet to take over its slots', async () => {
  await sees(NEW, { slots: 10_922, nodes: [replica(NEW), DEAD] });
  await sees(OLD, { slots: 16_384, nodes: [replica(OLD), `${DEAD} 0-5461`] });
  expect(await orders()).toEqual([]);
});

test('a failed master whose slots have been taken over is forgotten by every pod', async () => {
  for (const ip of [NEW, OLD]) await sees(ip, { slots: 16_384, nodes: [replica(ip), DEAD] });
  expect(await orders()).toEqual([NEW, OLD].map((ip) => `-h ${ip} -p 6379 cluster forget dead`));
});

test('a pod that knows only itself is met', async () => {
  await sees(NEW, { slots: 0, nodes: [`new ${NEW}:6379@16379 myself,master - 0 0 0 connected`] });
  await sees(OLD, { slots: 16_384, nodes: [replica(OLD), 'other'] });
  expect(await orders()).toEqual([`-h ${OLD} -p 6379 cluster meet ${NEW} 6379`]);
});
