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
const OTHER = `other ${OLD}:6379@16379 master - 0 0 1 connected 5462-16383`;

test('a failed master is not forgotten while a replica has yet to take over its slots', async () => {
  await sees(NEW, { slots: 10_922, nodes: [replica(NEW), OTHER, DEAD] });
  await sees(OLD, { slots: 16_384, nodes: [replica(OLD), OTHER, `${DEAD} 0-5461`] });
  expect(await orders()).toEqual([]);
});

test('a failed master whose slots have been taken over is forgotten by every pod', async () => {
  for (const ip of [NEW, OLD]) await sees(ip, { slots: 16_384, nodes: [replica(ip), OTHER, DEAD] });
  expect(await orders()).toEqual([NEW, OLD].map((ip) => `-h ${ip} -p 6379 cluster forget dead`));
});

test('a pod that knows only itself is met', async () => {
  await sees(NEW, { slots: 0, nodes: [`new ${NEW}:6379@16379 myself,master - 0 0 0 connected`] });
  await sees(OLD, { slots: 16_384, nodes: [replica(OLD), OTHER] });
  expect(await orders()).toEqual([`-h ${OLD} -p 6379 cluster meet ${NEW} 6379`]);
});

test('a master without slots becomes the replica of a master that is there', async () => {
  const justDied = 'died 10.0.0.3:6379@16379 master - 0 0 1 connected 0-5461';
  await sees(NEW, { slots: 10_922, nodes: [`new ${NEW}:6379@16379 myself,master - 0 0 0 connected`, OTHER] });
  // Its address is no pod's any more, but it has not been silent for long enough to have failed.
  await sees(OLD, { slots: 16_384, nodes: [`${OTHER.replace(' master', ' myself,master')}`, justDied] });
  expect(await orders()).toEqual([`-h ${NEW} -p 6379 cluster replicate other`]);
});

test('a replica of a master that lost its slots to another replica becomes one of a master that has some', async () => {
  await sees(NEW, { slots: 10_922, nodes: [replica(NEW).replace('other', 'dead'), OTHER, DEAD] });
  await sees(OLD, { slots: 16_384, nodes: [`${OTHER.replace(' master', ' myself,master')}`] });
  expect((await orders()).filter((order) => order.includes('replicate'))).toEqual([
    `-h ${NEW} -p 6379 cluster replicate other`,
  ]);
});

test('a replica of a failed master that still has its slots is left to take them over', async () => {
  const failed = `${DEAD} 0-5461`;
  await sees(NEW, { slots: 10_922, nodes: [replica(NEW).replace('other', 'dead'), OTHER, failed] });
  await sees(OLD, { slots: 16_384, nodes: [`${OTHER.replace(' master', ' myself,master')}`, failed] });
  expect(await orders()).toEqual([]);
});
