import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Frame types of RFC 9113, section 6. */
export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
} as const;
export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Headers of a gRPC call, each as a literal that is not indexed (RFC 7541, section 6.2.2). */
export function callHeaders(path: string): Buffer {
  const fields = [
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'agent'],
    ['te', 'trailers'],
    ['content-type', 'application/grpc'],
  ] as const;
  const text = (value: string) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
  return Buffer.concat(fields.map(([name, value]) => Buffer.concat([Buffer.of(0), text(name), text(value)])));
}

export function reset(stream: number): Buffer {
  return frame(FRAME.reset, 0, stream, Buffer.of(0, 0, 0, 8));
}

/** A gRPC message in its envelope. */
export function envelope(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** A connection that says what it likes, when it likes. Errors are ends: being thrown out is what is expected. */
export class RawConnection {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  #received: Buffer[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => this.#received.push(chunk));
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
  }

  static async open(address: string): Promise<RawConnection> {
    const [host = '', port = ''] = address.split(':');
    const socket = connect(Number(port), host);
    const connection = new RawConnection(socket);
    await Promise.race([once(socket, 'connect'), connection.closed]);
    return connection;
  }

  /** Preface and SETTINGS, as a client that means well. */
  greet(): this {
    this.socket.write(Buffer.concat([PREFACE, frame(FRAME.settings, 0, 0), frame(FRAME.settings, ACK, 0)]));
    return this;
  }

  /** Sends, and waits where the other side does not read. Nothing once it is closed. */
  async send(bytes: Buffer): Promise<void> {
    if (this.socket.destroyed || this.socket.writableEnded) return;
    if (!this.socket.write(bytes))
      await Promise.race([once(this.socket, 'drain').catch(() => undefined), this.closed]);
  }

  /** Types of the frames that came. */
  get frames(): number[] {
    const all = Buffer.concat(this.#received);
    const types: number[] = [];
    for (let at = 0; at + 9 <= all.length; at += 9 + all.readUIntBE(at, 3)) types.push(all[at + 3] ?? -1);
    return types;
  }

  /** What came, as text. */
  get text(): string {
    return Buffer.concat(this.#received).toString('latin1');
  }

  get isClosed(): boolean {
    return this.socket.destroyed;
  }

  close(): void {
    this.socket.destroy();
  }
}
