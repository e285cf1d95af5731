import { connect, createServer, type Server, type Socket } from 'node:net';
import { ReplyCutter } from './resp.ts';

/** Which of an agent's connections a fault is for. */
export type Kind = 'events' | 'commands';

/** What happens to the bytes of a connection. */
export interface Fault {
  /** Milliseconds that bytes from Redis are held. */
  readonly delayMs?: number;
  /** Nothing passes in either direction, and no connection is refused or reset. */
  readonly blackhole?: boolean;
  /** Bytes a second from Redis. */
  readonly bytesPerSecond?: number;
  /** What to do with each published message. */
  readonly message?: (message: Buffer) => readonly Buffer[];
}

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  /** `events:<node>` or `commands:<node>`, once the client has said its name. */
  name: string;
  /** Bytes on their way to the client, in order. */
  tail: Promise<void>;
  readonly cutter: ReplyCutter;
  /** Replies to commands that the proxy itself sent, which the client must not see. */
  hide: number;
}

const NAME = /edgecache-(events|commands)-([\w.-]+)/;
const MAX_HELLO = 4_096;
const DONE: Promise<void> = Promise.resolve();

/** Stands between everyone and one Redis server, and knows agents' connections by the name that they give. */
export class FaultProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #links = new Set<Link>();
  readonly #faults: Map<string, Fault>;

  private constructor(server: Server, port: number, faults: Map<string, Fault>) {
    this.#server = server;
    this.port = port;
    this.#faults = faults;
  }

  /** @param faults by `events:<node>` and `commands:<node>`, shared by the proxies of a cluster. */
  static start(port: number, target: number, faults: Map<string, Fault>): Promise<FaultProxy> {
    return new Promise((resolve, reject) => {
      const server = createServer({ noDelay: true });
      const proxy = new FaultProxy(server, port, faults);
      server.on('connection', (client) => proxy.#link(client, target));
      server.once('error', reject);
      server.listen(port, '127.0.0.1', () => resolve(proxy));
    });
  }

  /** Ends the connections of a name with a reset. */
  cut(name: string): void {
    for (const link of this.#links) if (link.name === name) link.client.resetAndDestroy();
  }

  /** Takes a subscription away without a word: Redis is told, the client is not. */
  unsubscribe(name: string, channel: string): void {
    for (const link of this.#links) {
      if (link.name !== name) continue;
      link.hide += 1;
      link.server.write(`*2\r\n$12\r\nSUNSUBSCRIBE\r\n$${channel.length}\r\n${channel}\r\n`);
    }
  }

  close(): void {
    this.#server.close();
    for (const { client, server } of this.#links) {
      client.destroy();
      server.destroy();
    }
  }

  #link(client: Socket, target: number): void {
    const server = connect({ port: target, host: '127.0.0.1', noDelay: true });
    const link: Link = { client, server, name: '', tail: DONE, cutter: new ReplyCutter(), hide: 0 };
    this.#links.add(link);
    let hello = '';
    client.on('data', (data) => {
      if (link.name === '' && hello.length < MAX_HELLO) {
        hello += data.toString('latin1');
        const match = NAME.exec(hello);
        if (match !== null) link.name = `${match[1]}:${match[2]}`;
      }
      if (this.#faultOf(link)?.blackhole !== true) server.write(data);
    });
    server.on('data', (data) => this.#answer(link, data));
    const end = () => {
      this.#links.delete(link);
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) {
      socket.on('error', end);
      // A blackholed connection must look alive: its other end learns nothing.
      socket.on('close', () => {
        if (this.#faultOf(link)?.blackhole !== true) end();
      });
    }
  }

  #faultOf(link: Link): Fault | undefined {
    return this.#faults.get(link.name);
  }

  #answer(link: Link, data: Buffer): void {
    // Only event connections are cut into replies: the others carry values of any size.
    const parts = link.name.startsWith('events:')
      ? link.cutter.push(data).flatMap((reply) => this.#pass(link, reply))
      : [data];
    for (const part of parts) this.#send(link, part);
  }

  #pass(link: Link, reply: Buffer): readonly Buffer[] {
    const head = reply.toString('latin1', 0, 40);
    if (link.hide > 0 && head.includes('sunsubscribe')) {
      link.hide -= 1;
      return [];
    }
    const message = this.#faultOf(link)?.message;
    return message !== undefined && head.includes('smessage') ? message(reply) : [reply];
  }

  #send(link: Link, data: Buffer): void {
    const { delayMs = 0, bytesPerSecond = 0, blackhole = false } = this.#faultOf(link) ?? {};
    if (blackhole) return;
    const wait = delayMs + (bytesPerSecond === 0 ? 0 : (data.length / bytesPerSecond) * 1_000);
    if (wait === 0 && link.tail === DONE) {
      link.client.write(data);
      return;
    }
    const tail = link.tail.then(async () => {
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      link.client.write(data);
      if (link.tail === tail) link.tail = DONE;
    });
    link.tail = tail;
  }
}
