import { spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

/** Runs the operator as its image does, and waits until its output has a word in it. */
async function untilSaid(
  env: Record<string, string>,
  word: RegExp,
): Promise<{ said: RegExpExecArray; ended: Promise<number | null>; stop: () => Promise<number | null> }> {
  const child = spawn(process.execPath, [MAIN], { env: { PATH: process.env['PATH'] ?? '', ...env } });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  let text = '';
  const said = await new Promise<RegExpExecArray>((resolve, reject) => {
    const look = (chunk: Buffer) => {
      text += chunk.toString();
      const found = word.exec(text);
      if (found !== null) resolve(found);
    };
    child.stdout.on('data', look);
    child.stderr.on('data', look);
    void ended.then(() => reject(new Error(`ended: ${text}`)));
  });
  const stop = () => {
    child.kill('SIGTERM');
    return ended;
  };
  return { said, ended, stop };
}

test('answers probes as soon as it has its key, is not ready without a cluster, and ends when asked to', async () => {
  const secret = { metadata: { name: 'key' }, data: {} as Record<string, string> };
  const api = createServer((request, response) => {
    // Nothing but the Secret: no list succeeds, so that it can never be ready.
    if (!request.url?.includes('/secrets')) return void response.writeHead(503).end('{}');
    if (request.method === 'GET') return void response.end(JSON.stringify(secret));
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => {
      secret.data = JSON.parse(body).data;
      response.end(body);
    });
  });
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
  const { port } = api.address() as AddressInfo;
  const file = join(mkdtempSync(join(tmpdir(), 'edgecache-operator-')), 'kubeconfig');
  writeFileSync(
    file,
    JSON.stringify({
      'current-context': 'c',
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
      clusters: [
        { name: 'c', cluster: { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } },
      ],
      users: [{ name: 'u', user: { token: 't' } }],
    }),
  );
  const env = { KUBECONFIG: file, AGENT_IMAGE: 'agent:1', POD_NAMESPACE: 'ns', HTTP_PORT: '0' };
  const { said, stop } = await untilSaid(env, /"port":(\d+),"msg":"listening"/);
  const get = (path: string) => fetch(`http://127.0.0.1:${said[1]}${path}`);
  expect((await get('/healthz')).status).toBe(200);
  expect((await get('/readyz')).status).toBe(503);
  expect(await (await get('/metrics')).text()).toContain('edgecache_operator_leader 0');
  expect(Object.keys(secret.data)).toEqual(['reload-key.pem']);
  expect(await stop()).toBe(0);
  api.closeAllConnections();
  api.close();
}, 60_000);

test('says which settings are wrong, and ends with 2', async () => {
  const { ended } = await untilSaid(
    { WORKERS: '99' },
    /AGENT_IMAGE: got nothing; must be set[\s\S]*WORKERS: got "99"/,
  );
  expect(await ended).toBe(2);
}, 60_000);
