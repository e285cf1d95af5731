import { constants, type ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import type { Server } from '@grpc/grpc-js';
import type { Declarations } from '../metrics/declarations.ts';
import { CONNECTION_ENDS, type Connection, type ConnectionEnd, callListener, isIdler } from './connection.ts';
import { http2ServersOf } from './http2-servers.ts';

export interface ConnectionsOptions {
  readonly maxConnections: number;
  /** 0: they may stand for ever. */
  readonly maxAgeMs: number;
  /** Paths of calls that may stay open for as long as they like. */
  readonly streamingPaths: ReadonlySet<string>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly random: () => number;
}

/** From connecting to having said what HTTP/2 and TLS want said: network round trips, no more. */
const HANDSHAKE_MS = 10_000;
/** From a call's headers to the end of its request. */
const REQUEST_MS = 10_000;
/** For streams to end in order once their connection is too old. */
const AGE_GRACE_MS = 30_000;
/**
 * Pings and SETTINGS that a connection may send between two sweeps. Clients that measure their bandwidth (Go's, Java's)
 * ping once a round trip while answers arrive; without calls there is nothing to measure.
 */
const CONTROL_FRAMES_BUSY = 10_000;
const CONTROL_FRAMES_IDLE = 100;

/**
 * The connections of the gRPC port: how many there are, and what each may cost. grpc-js bounds messages and streams, Node the
 * rate of resets and of invalid frames; the rest is here.
 */
export class Connections {
  readonly ends: Record<ConnectionEnd, number> = {
    'too-many': 0,
    'made-room': 0,
    'no-handshake': 0,
    'slow-request': 0,
    'control-flood': 0,
    'protocol-error': 0,
    aged: 0,
  };
  readonly #options: ConnectionsOptions;
  readonly #connections = new Set<Connection>();
  /** By the client's address and port, which a TLS session shares with the socket below it. */
  readonly #byKey = new Map<string, Connection>();
  readonly #endings = new Map<string, Set<() => void>>();
  #newest: Connection | undefined;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#connections.size;
  }

  /** Watches over all that a server listens on. @throws Error where grpc-js no longer keeps its HTTP/2 servers as it did. */
  watch(server: Server): void {
    for (const http2Server of http2ServersOf(server)) {
      http2Server.prependListener('connection', (socket: Socket) => this.#connected(socket));
      http2Server.on('session', (session: ServerHttp2Session) => this.#begin(session));
      http2Server.on('tlsClientError', () => {
        this.ends['protocol-error'] += 1;
      });
    }
  }

  /** Ends a stream in order when its connection is too old. @returns what to call when it is over */
  track(peer: string, end: () => void): () => void {
    const endings = this.#endings.get(peer) ?? new Set();
    this.#endings.set(peer, endings);
    endings.add(end);
    return () => {
      endings.delete(end);
      if (endings.size === 0) this.#endings.delete(peer);
    };
  }

  declare(metrics: Declarations): void {
    metrics.gauge('grpc_connections', 'Connections to the gRPC port.', () => this.size);
    metrics.counters(
      'grpc_connections_ended',
      'Connections that the agent ended, and calls that it ended because their request did not come in time, by reason.',
      ['reason'],
      () => CONNECTION_ENDS.map((reason) => [{ reason }, this.ends[reason]] as const),
    );
  }

  /** To be called once a second: what is slow, old or noisy has to go. */
  sweep(): void {
    const now = this.#options.now();
    for (const connection of this.#connections) this.#look(connection, now);
  }

  /** Nobody need wait for those that never said anything. */
  stop(): void {
    for (const { settled, socket } of this.#connections) if (!settled) socket.destroy();
  }

  #connected(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    const openedAt = this.#options.now();
    const { maxAgeMs, random } = this.#options;
    const isUnix = address === '';
    const connection: Connection = {
      key: isUnix ? '' : `${address}:${socket.remotePort}`,
      address,
      socket,
      openedAt,
      // Who connected together should not come back together.
      endsAt:
        maxAgeMs === 0 || isUnix ? Number.POSITIVE_INFINITY : openedAt + maxAgeMs * (0.9 + 0.2 * random()),
      session: undefined,
      settled: false,
      calls: new Set(),
      slow: new Map(),
      streams: 0,
      used: false,
      begun: 0,
      idleSince: openedAt,
      controlFrames: 0,
      closing: false,
    };
    this.#newest = connection;
    if (!this.#hasRoom(address)) {
      this.ends['too-many'] += 1;
      // Not now: whoever listens next expects a socket that is open.
      setImmediate(() => socket.destroy());
      return;
    }
    this.#connections.add(connection);
    if (!isUnix) this.#byKey.set(connection.key, connection);
    socket.once('close', () => this.#forget(connection));
  }

  #forget(connection: Connection): void {
    this.#connections.delete(connection);
    if (this.#byKey.get(connection.key) !== connection) return;
    this.#byKey.delete(connection.key);
    this.#endings.delete(connection.key);
  }

  #hasRoom(address: string): boolean {
    const { maxConnections } = this.#options;
    const half = Math.ceil(maxConnections / 2);
    // Only where it may matter: counting all for each that comes would be an attack of its own.
    if (address !== '' && this.size >= half && this.#ofAddress(address) >= half)
      return this.#makeRoom(address);
    return this.size < maxConnections || this.#makeRoom();
  }

  #ofAddress(address: string): number {
    let count = 0;
    for (const connection of this.#connections) if (connection.address === address) count += 1;
    return count;
  }

  /** Ends a connection without calls: one that never had any, or else the one that has had none for longest. @param of this address alone */
  #makeRoom(of?: string): boolean {
    let idlest: Connection | undefined;
    for (const connection of this.#connections) {
      const { calls, streams, closing, address } = connection;
      if (calls.size > 0 || streams > 0 || closing || (of !== undefined && address !== of)) continue;
      if (idlest === undefined || isIdler(connection, idlest)) idlest = connection;
    }
    if (idlest === undefined) return false;
    this.ends['made-room'] += 1;
    this.#close(idlest);
    this.#forget(idlest);
    return true;
  }

  #close(connection: Connection): void {
    connection.closing = true;
    const { session, socket } = connection;
    if (session === undefined || !connection.settled) socket.destroy();
    else if (!session.destroyed) session.close();
  }

  #begin(session: ServerHttp2Session): void {
    const { remoteAddress = '', remotePort } = session.socket;
    const connection = this.#byKey.get(`${remoteAddress}:${remotePort}`) ?? this.#newest;
    if (connection === undefined) return;
    connection.session = session;
    session.on('error', () => {
      if (!connection.closing) this.ends['protocol-error'] += 1;
    });
    session.on('remoteSettings', () => {
      connection.settled = true;
      this.#noteControlFrame(connection);
    });
    session.on('ping', () => this.#noteControlFrame(connection));
    session.on('stream', callListener(connection, this.#options.streamingPaths, this.#options.now));
  }

  #noteControlFrame(connection: Connection): void {
    connection.controlFrames += 1;
    const { controlFrames, calls, streams, begun } = connection;
    const busy = calls.size > 0 || streams > 0 || begun > 0;
    if (controlFrames <= (busy ? CONTROL_FRAMES_BUSY : CONTROL_FRAMES_IDLE)) return;
    this.ends['control-flood'] += 1;
    connection.closing = true;
    connection.session?.destroy(new Error('too many pings or settings'), constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }

  #look(connection: Connection, now: number): void {
    connection.controlFrames = 0;
    connection.begun = 0;
    const { settled, openedAt, endsAt, closing } = connection;
    if (!settled && now - openedAt >= HANDSHAKE_MS) {
      this.ends['no-handshake'] += 1;
      connection.socket.destroy();
      return;
    }
    if (now >= endsAt && !closing) this.#age(connection);
    else if (now >= endsAt + AGE_GRACE_MS) connection.session?.destroy();
    if (connection.calls.size > 0) this.#lookForSlow(connection, now);
  }

  /** As a client that is told in time sees it, nothing fails: it opens its next call on another connection. */
  #age(connection: Connection): void {
    this.ends.aged += 1;
    for (const end of this.#endings.get(connection.key) ?? []) end();
    this.#close(connection);
  }

  #lookForSlow(connection: Connection, now: number): void {
    const before = connection.slow;
    connection.slow = new Map();
    for (const stream of connection.calls) {
      if (stream.readableEnded || stream.destroyed) continue;
      const since = before.get(stream) ?? now;
      if (now - since < REQUEST_MS) connection.slow.set(stream, since);
      else {
        this.ends['slow-request'] += 1;
        stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      }
    }
  }
}
