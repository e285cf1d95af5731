import { chmod, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { type Server, ServerCredentials } from '@grpc/grpc-js';
import { AgentError, messageOf } from '../errors.ts';

const UNIX = 'unix:';
/** The folder decides who reaches a socket, as the network decides who reaches a port. */
const SOCKET_MODE = 0o666;
const PROBE_MS = 1_000;

/**
 * Binds a server to each of a list of addresses, separated by commas.
 * @param credentials for those that a network reaches; sockets are plain
 * @returns the first TCP port; 0 where there is none
 * @throws AgentError EC_LISTEN_FAILED
 */
export async function listen(
  server: Server,
  addresses: string,
  credentials: ServerCredentials,
): Promise<number> {
  let port = 0;
  for (const address of addresses.split(',')) {
    try {
      const bound = await listenOn(server, address, credentials);
      if (!address.startsWith(UNIX)) port ||= bound;
    } catch (error) {
      throw new AgentError(
        'EC_LISTEN_FAILED',
        `cannot listen on ${address} (CACHE_GRPC_ADDRESS): ${messageOf(error)}`,
        { cause: error },
      );
    }
  }
  return port;
}

async function listenOn(server: Server, address: string, credentials: ServerCredentials): Promise<number> {
  const path = address.startsWith(UNIX) ? address.slice(UNIX.length) : undefined;
  if (path !== undefined) await removeDead(path);
  const port = await new Promise<number>((resolve, reject) => {
    const shown = path === undefined ? credentials : ServerCredentials.createInsecure();
    server.bindAsync(address, shown, (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  if (path !== undefined) await chmod(path, SOCKET_MODE);
  return port;
}

/** A process that was killed leaves its socket behind, on which nobody can listen again. */
async function removeDead(path: string): Promise<void> {
  if ((await reach(path)) === 'ECONNREFUSED') await unlink(path);
}

/** What trying to connect ends with. */
function reach(path: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ path, timeout: PROBE_MS });
    const done = (code: string) => {
      socket.destroy();
      resolve(code);
    };
    socket.once('connect', () => done(''));
    socket.once('timeout', () => done('ETIMEDOUT'));
    socket.once('error', (error: NodeJS.ErrnoException) => done(error.code ?? ''));
  });
}
