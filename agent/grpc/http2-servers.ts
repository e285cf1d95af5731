import { Server as NetServer } from 'node:net';
import type { Server } from '@grpc/grpc-js';

/**
 * grpc-js offers no way to its HTTP/2 servers, and so none to their connections. This looks where it keeps them; a release that
 * keeps them elsewhere is refused, because the port would be unprotected without anybody noticing.
 */
export function http2ServersOf(server: Server): NetServer[] {
  const known: unknown = Reflect.get(server, 'http2Servers');
  const servers = known instanceof Map ? [...known.keys()] : [];
  const found = servers.filter((one): one is NetServer => one instanceof NetServer);
  if (found.length === 0)
    throw new Error('grpc-js does not keep its HTTP/2 servers in http2Servers any more');
  return found;
}
