/**
 * What `helm test` runs: puts an entry by one agent, looks it up, invalidates it, and sees that it is gone.
 * Usage: node operator/lookup-check.js HOST:PORT [NAMESPACE]
 */
import { randomUUID } from 'node:crypto';
import { credentials, Metadata, status } from '@grpc/grpc-js';
import { EdgeCacheClient } from '../proto/gen/edgecache/v1/edgecache.ts';
import { delay } from './kube/delay.ts';

/** Agents may still be starting right after an install. */
const PATIENCE_MS = 60_000;
const CALL_MS = 2_000;

type Answer<T> = (error: { code: number; details: string } | null, response: T) => void;
type Call<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: { deadline: number },
  callback: Answer<Response>,
) => unknown;

function ask<Request, Response>(call: Call<Request, Response>, request: Request): Promise<Response> {
  return new Promise((resolve, reject) => {
    call(request, new Metadata(), { deadline: Date.now() + CALL_MS }, (error, response) => {
      if (error === null) resolve(response);
      else reject(new Error(`${status[error.code]}: ${error.details}`));
    });
  });
}

async function check(address: string, namespace: string): Promise<string> {
  const client = new EdgeCacheClient(address, credentials.createInsecure());
  const key = `helm-test:${randomUUID()}`;
  try {
    await ask(client.put.bind(client), {
      namespace,
      key,
      value: Buffer.from('hello'),
      ttlMs: 5_000,
      tags: [],
      ifVersion: '',
      event: undefined,
      confirm: undefined,
    });
    const lookup = { namespace, key, minToken: '', wantLease: false };
    const found = await ask(client.get.bind(client), lookup);
    if (!found.found || Buffer.from(found.value).toString() !== 'hello')
      throw new Error('what was put was not found');
    await ask(client.invalidate.bind(client), {
      namespace,
      keys: [key],
      tags: [],
      reason: 'helm test',
      eventId: '',
      confirm: { wait: true, timeoutMs: 0 },
    });
    const gone = await ask(client.get.bind(client), lookup);
    if (gone.found) throw new Error('what was invalidated was still found');
    const { nodeId, region } = await ask(client.stats.bind(client), { top: 0 });
    return `put, found, invalidated and gone, by the agent on node ${nodeId} in ${region}`;
  } finally {
    client.close();
  }
}

const [address, namespace = 'historical'] = process.argv.slice(2);
if (address === undefined) {
  console.error('Usage: node operator/lookup-check.js HOST:PORT [NAMESPACE]');
  process.exit(2);
}
const deadline = Date.now() + PATIENCE_MS;
let said = '';
for (;;) {
  try {
    console.log(await check(address, namespace));
    process.exit(0);
  } catch (error) {
    const why = `${address}: ${error instanceof Error ? error.message : String(error)}`;
    // Once a second for a minute would hide what else there is to read.
    if (why !== said) console.error(why);
    said = why;
    if (Date.now() > deadline) process.exit(1);
    await delay(1_000, new AbortController().signal);
  }
}
