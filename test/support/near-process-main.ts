import { createInterface } from 'node:readline';
import { EdgeCacheClient } from '../../client/edge-cache-client.ts';

const [address = '', namespace = '', key = ''] = process.argv.slice(2);
const client = new EdgeCacheClient({
  addresses: [address],
  connectTimeoutMs: 2_000,
  deadlineMs: 5_000,
  near: { namespaces: { [namespace]: {} }, renewMs: 50 },
});

createInterface({ input: process.stdin }).on('line', async () => {
  process.stdout.write(`${JSON.stringify(await client.get(namespace, key))}\n`);
});
process.stdout.write('ready\n');
