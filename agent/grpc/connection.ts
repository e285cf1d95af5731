import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';

/** Why a connection, or a call on it, was ended by this side. */
export const CONNECTION_ENDS = [
  'too-many',
  'made-room',
  'no-handshake',
  'slow-request',
  'control-flood',
  'protocol-error',
  'aged',
] as const;
export type ConnectionEnd = (typeof CONNECTION_ENDS)[number];

/** One connection to the gRPC port, and what is known of it. */
export interface Connection {
  readonly key: string;
  readonly address: string;
  readonly socket: Socket;
  readonly openedAt: number;
  readonly endsAt: number;
  session: ServerHttp2Session | undefined;
  /** Whether the client has spoken HTTP/2. */
  settled: boolean;
  /** Calls that have one request; it must come in time. */
  readonly calls: Set<ServerHttp2Stream>;
  /** Of these, those whose request was not complete when last looked at, and since when. */
  slow: Map<ServerHttp2Stream, number>;
  streams: number;
  /** Whether it ever had a call. */
  used: boolean;
  /** Calls begun since the last sweep. */
  begun: number;
  idleSince: number;
  controlFrames: number;
  closing: boolean;
}

/** Whether the one should rather make room than the other. */
export function isIdler(one: Connection, other: Connection): boolean {
  return one.used === other.used ? one.idleSince < other.idleSince : !one.used;
}

/** Keeps a connection's calls. It runs for every call: so nothing is made here for each. */
export function callListener(connection: Connection, streamingPaths: ReadonlySet<string>, now: () => number) {
  const { calls } = connection;
  const rest = (): void => {
    if (connection.streams === 0 && calls.size === 0) connection.idleSince = now();
  };
  const streamEnded = (): void => {
    connection.streams -= 1;
    rest();
  };
  function callEnded(this: ServerHttp2Stream): void {
    calls.delete(this);
    rest();
  }
  return (stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void => {
    connection.begun += 1;
    connection.used = true;
    if (streamingPaths.has(String(headers[':path']))) {
      connection.streams += 1;
      stream.on('close', streamEnded);
    } else {
      calls.add(stream);
      stream.on('close', callEnded);
    }
  };
}
