import {
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentError } from '../errors.ts';
import { AccessRules } from './access-rules.ts';
import type { Identity, Shown } from './identity.ts';
import { PortGuard } from './port-guard.ts';

const MINUTE = 60_000;
const bytes = (data: Buffer) => data;
const ECHO = {
  path: '/test.Echo/Echo',
  requestStream: true,
  responseStream: true,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
} as const;

let time: number;
let identify: (shown: Shown) => Identity | Promise<Identity>;
let shown: Shown[];
let rules: AccessRules;
let guard: PortGuard;
let server: Server;
let client: Client;

/** A stream to a service that says who calls. */
beforeEach(async () => {
  time = 0;
  shown = [];
  identify = () => ({ name: 'token:a', expiresAt: 2 * MINUTE });
  rules = new AccessRules([{ identities: ['*'], namespaces: ['ns'], allow: ['read'] }]);
  guard = new PortGuard({
    authenticator: {
      identify: (what) => {
        shown.push(what);
        return identify(what);
      },
    },
    rules,
    certificates: false,
    now: () => time,
  });
  server = new Server({ interceptors: [guard.intercept] });
  server.addService(
    { echo: ECHO },
    {
      echo: (call: ServerDuplexStream<Buffer, Buffer>) => {
        const caller = guard.callerOf(call.metadata);
        caller.checkLasting(() => ['ns']);
        // What shows who calls is for the guard alone.
        const left = call.metadata.get('authorization').length;
        call.on('data', () => call.write(Buffer.from(`${caller.identity.name} ${left}`)));
        call.on('end', () => call.end());
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
});
afterEach(() => {
  client.close();
  server.forceShutdown();
});

function open(authorization = 'Bearer x') {
  const metadata = new Metadata();
  metadata.set('authorization', authorization);
  const stream: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(
    ECHO.path,
    bytes,
    bytes,
    metadata,
  );
  const ended = new Promise<number>((resolve) => {
    stream.on('error', ({ code }: ServiceError) => resolve(code));
    stream.on('end', () => resolve(status.OK));
  });
  const ask = () =>
    new Promise<string>((resolve) => {
      stream.once('data', (data: Buffer) => resolve(String(data)));
      stream.write(Buffer.from('?'));
    });
  return { stream, ended, ask };
}

describe('a guarded port', () => {
  it('lets in who is known, at once or later, and hands on nothing of what was shown', async () => {
    expect(await open().ask()).toBe('token:a 0');
    identify = async () => ({ name: 'serviceaccount:a/b', expiresAt: 2 * MINUTE });
    expect(await open().ask()).toBe('serviceaccount:a/b 0');
    expect(shown.map(({ authorization }) => authorization)).toEqual(['Bearer x', 'Bearer x']);
  });

  it('refuses who is not, at once or later', async () => {
    const refusal = new AgentError('EC_UNAUTHENTICATED', 'no');
    identify = () => {
      throw refusal;
    };
    expect(await open().ended).toBe(status.UNAUTHENTICATED);
    identify = () => Promise.reject(refusal);
    expect(await open().ended).toBe(status.UNAUTHENTICATED);
    identify = () => Promise.reject(new AgentError('EC_AUTH_UNAVAILABLE', 'nobody can tell'));
    expect(await open().ended).toBe(status.UNAVAILABLE);
    expect(guard.refusals).toEqual({ unauthenticated: 2, unavailable: 1 });
  });

  it('hands a failure that is nobody’s fault on as one', async () => {
    identify = () => Promise.reject(new Error('a mistake'));
    expect(await open().ended).toBe(status.INTERNAL);
  });

  it('does not look again at who has long to go', async () => {
    const stream = open();
    await stream.ask();
    time = MINUTE - 1;
    guard.sweep();
    expect(shown).toHaveLength(1);
  });

  it('makes sure of a stream’s caller before its identity ends', async () => {
    const stream = open();
    await stream.ask();
    time = 1.5 * MINUTE;
    identify = () => ({ name: 'token:a', expiresAt: 4 * MINUTE });
    guard.sweep();
    await stream.ask();
    time = 2.5 * MINUTE;
    guard.sweep();
    expect(shown).toHaveLength(2);
    expect(await stream.ask()).toBe('token:a 0');
  });

  it('ends the stream of who is refused by then, or is somebody else', async () => {
    const [one, other] = [open(), open('Bearer y')];
    await Promise.all([one.ask(), other.ask()]);
    time = 1.5 * MINUTE;
    identify = ({ authorization }) => {
      if (authorization === 'Bearer x') throw new AgentError('EC_UNAUTHENTICATED', 'deleted');
      return { name: 'token:b', expiresAt: 4 * MINUTE };
    };
    guard.sweep();
    expect(await one.ended).toBe(status.UNAUTHENTICATED);
    expect(await other.ended).toBe(status.UNAUTHENTICATED);
  });

  it('lets a stream outlive a short absence of who can tell, and no longer than its identity', async () => {
    const stream = open();
    await stream.ask();
    identify = () => Promise.reject(new AgentError('EC_AUTH_UNAVAILABLE', 'away'));
    time = 1.9 * MINUTE;
    guard.sweep();
    expect(await stream.ask()).toBe('token:a 0');
    time = 2 * MINUTE;
    guard.sweep();
    expect(await stream.ended).toBe(status.UNAVAILABLE);
  });

  it('ends streams that the rules of now do not allow, and no others', async () => {
    const [one, other] = [open(), open('Bearer y')];
    identify = ({ authorization }) => ({
      name: authorization === 'Bearer x' ? 'token:a' : 'token:b',
      expiresAt: 2 * MINUTE,
    });
    await one.ask();
    const kept = open('Bearer y');
    expect(await kept.ask()).toBe('token:b 0');
    rules.replace([{ identities: ['token:b'], namespaces: ['ns'], allow: ['read'] }]);
    guard.recheck();
    expect(await one.ended).toBe(status.PERMISSION_DENIED);
    expect(await kept.ask()).toBe('token:b 0');
    expect([guard.refusals, rules.denials]).toEqual([{ unauthenticated: 0, unavailable: 0 }, 1]);
    other.stream.cancel();
  });

  it('forgets streams that have ended', async () => {
    const stream = open();
    await stream.ask();
    stream.stream.end();
    expect(await stream.ended).toBe(status.OK);
    const next = open();
    await next.ask();
    guard.recheck();
    // Two openings, and one that still stands.
    expect(shown).toHaveLength(3);
  });
});
