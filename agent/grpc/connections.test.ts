import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { afterEach, expect, it } from 'vitest';
import { Connections, type ConnectionsOptions } from './connections.ts';

const WATCH = '/grpc.health.v1.Health/Watch';
const CHECK = '/grpc.health.v1.Health/Check';
const EMPTY = Buffer.alloc(5);

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

/** A real port on real connections, by a clock of the test's own. */
async function aPort(options: Partial<ConnectionsOptions> = {}) {
  let time = 0;
  const server = new Server();
  new HealthImplementation({ '': 'SERVING' }).addToServer(server);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const connections = new Connections({
    maxConnections: 100,
    maxAgeMs: 0,
    streamingPaths: new Set([WATCH]),
    now: () => time,
    random: () => 0.5,
    ...options,
  });
  connections.watch(server);
  stops.push(() => server.forceShutdown());
  const dial = (localAddress: string) => {
    const session = connect(`http://127.0.0.1:${port}`, {
      createConnection: () => connectSocket({ port, host: '127.0.0.1', localAddress }),
    });
    session.on('error', () => undefined);
    stops.push(() => session.destroy());
    return session;
  };
  const refused = (localAddress: string) => once(dial(localAddress), 'close');
  /** All of 127.0.0.0/8 is this machine: so there are many addresses. */
  const open = async (localAddress = '127.0.0.1') => {
    const session = dial(localAddress);
    // The server's SETTINGS are an answer to ours.
    await once(session, 'remoteSettings');
    await new Promise((resolve) => session.ping(resolve));
    return session;
  };
  const pass = (ms: number) => {
    time += ms;
    connections.sweep();
  };
  return { connections, open, refused, pass, port };
}

function begin(session: ClientHttp2Session, path: string) {
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    te: 'trailers',
    'content-type': 'application/grpc',
  });
  stream.on('error', () => undefined);
  return stream;
}

async function call(session: ClientHttp2Session): Promise<void> {
  const stream = begin(session, CHECK);
  stream.end(EMPTY);
  stream.resume();
  await once(stream, 'close');
}

it('asks a connection to go when it is old, ends its streams in order, and lets those be that are young', async () => {
  const { connections, open, pass } = await aPort({ maxAgeMs: 1000 });
  const old = await open();
  const { localAddress, localPort } = old.socket;
  let ended = 0;
  connections.track(`${localAddress}:${localPort}`, () => {
    ended += 1;
  });
  pass(900);
  const young = await open();
  const goaway = once(old, 'goaway');
  pass(100);
  expect((await goaway)[0]).toBe(0);
  if (!old.closed) await once(old, 'close');
  expect([ended, connections.ends.aged, young.closed]).toEqual([1, 1, false]);
  await call(young);
});

it('ends what does not go when it is asked to', async () => {
  const { open, pass, connections } = await aPort({ maxAgeMs: 1000 });
  const session = await open();
  const stream = begin(session, WATCH);
  stream.end(EMPTY);
  await once(stream, 'data');
  pass(1000);
  await once(session, 'goaway');
  pass(29_000);
  await new Promise((resolve) => setImmediate(resolve));
  expect(stream.closed).toBe(false);
  pass(1000);
  await once(stream, 'close');
  expect(connections.ends.aged).toBe(1);
});

it('gives connections that came together different ages', async () => {
  const draws = [0, 1];
  const { open, pass, connections } = await aPort({ maxAgeMs: 1000, random: () => draws.shift() ?? 0.5 });
  await open();
  await open();
  pass(899);
  expect(connections.ends.aged).toBe(0);
  pass(1);
  expect(connections.ends.aged).toBe(1);
  pass(200);
  expect(connections.ends.aged).toBe(2);
});

it('makes room by ending what never had a call, then what has had none for longest, and never what has one', async () => {
  const { open, pass, connections } = await aPort({ maxConnections: 3 });
  const busy = await open('127.0.0.1');
  const stream = begin(busy, WATCH);
  stream.end(EMPTY);
  await once(stream, 'data');
  const used = await open('127.0.0.2');
  await call(used);
  pass(1);
  const unused = await open('127.0.0.3');
  const gone = once(unused, 'close');
  const next = await open('127.0.0.4');
  await gone;
  pass(1);
  await call(next);
  const usedGone = once(used, 'close');
  await open('127.0.0.5');
  await usedGone;
  expect([busy.closed, next.closed, connections.size]).toEqual([false, false, 3]);
  expect(connections.ends).toMatchObject({ 'made-room': 2, 'too-many': 0 });
});

it('makes room for those of an address that has half of all connections at the cost of that address alone', async () => {
  const { open, connections, refused } = await aPort({ maxConnections: 4 });
  const other = await open('127.0.0.2');
  const busy = await open('127.0.0.1');
  const stream = begin(busy, WATCH);
  stream.end(EMPTY);
  await once(stream, 'data');
  const idle = await open('127.0.0.1');
  const gone = once(idle, 'close');
  const next = await open('127.0.0.1');
  await gone;
  const second = begin(next, WATCH);
  second.end(EMPTY);
  await once(second, 'data');
  await refused('127.0.0.1');
  expect([other.closed, busy.closed, next.closed]).toEqual([false, false, false]);
  expect(connections.ends).toMatchObject({ 'made-room': 1, 'too-many': 1 });
});

it('refuses the next one where all have calls', async () => {
  const { open, connections, refused } = await aPort({ maxConnections: 2 });
  for (const address of ['127.0.0.1', '127.0.0.2']) {
    const stream = begin(await open(address), WATCH);
    stream.end(EMPTY);
    await once(stream, 'data');
  }
  await refused('127.0.0.3');
  expect(connections.ends['too-many']).toBe(1);
});

it('forgets connections that are gone', async () => {
  const { open, port, connections } = await aPort();
  const session = await open();
  const socket = connectSocket(port, '127.0.0.1');
  await once(socket, 'connect');
  await expect.poll(() => connections.size).toBe(2);
  session.destroy();
  socket.destroy();
  await expect.poll(() => connections.size).toBe(0);
});
