import { Server, ServerCredentials } from '@grpc/grpc-js';
import { EdgeCacheService, GetResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';

/** A bare grpc-js server that answers every Get with the same 512 bytes: what gRPC itself costs. Prints its port. */
const answer = GetResponse.create({
  found: true,
  value: Buffer.alloc(512, 'x'),
  version: '1-0',
  ttlMs: 1_000,
  source: 1,
});
const server = new Server();
server.addService(
  { get: EdgeCacheService.get },
  { get: (_call: unknown, callback: (error: null, response: GetResponse) => void) => callback(null, answer) },
);
server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  process.stdout.write(`${port}\n`);
});
