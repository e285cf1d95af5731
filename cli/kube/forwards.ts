import { createServer, type Server, type Socket } from 'node:net';
import { type KubeConfig, PortForward } from '@kubernetes/client-node';
import type { AgentAddress } from '../agents.ts';

export interface AgentPod {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly tier: string;
  readonly port: number;
}

/** Ways from this machine to agents' pods, through the API server, as `kubectl port-forward` makes them. */
export class Forwards {
  readonly #forward: PortForward;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #failed: (error: Error) => void;

  /** @param failed told of connections that could not be made; the caller of the agent sees only that they close. */
  constructor(config: KubeConfig, failed: (error: Error) => void) {
    this.#forward = new PortForward(config);
    this.#failed = failed;
  }

  /** Listens on a port of this machine for one pod, which people know by a name. */
  async open(pod: AgentPod, name: string): Promise<AgentAddress> {
    const server = createServer((socket) => this.#connect(pod, socket));
    this.#servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    return { name, address: `127.0.0.1:${port}` };
  }

  close(): void {
    for (const server of this.#servers) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #connect({ namespace, name, port }: AgentPod, socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#sockets.delete(socket));
    this.#forward.portForward(namespace, name, [port], socket, null, socket).then(
      (connection) => {
        // A closed forward closes what it carried: a caller must not wait for a pod that is gone.
        if (typeof connection !== 'function') connection.onclose = () => socket.destroy();
      },
      (error: unknown) => {
        this.#failed(error instanceof Error ? error : new Error(String(error)));
        socket.destroy();
      },
    );
  }
}
