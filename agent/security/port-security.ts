import type { ServerCredentials } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Security } from '../../api/security.ts';
import { Declarations } from '../metrics/declarations.ts';
import { PortTls } from './port-tls.ts';

export interface PortSecurityOptions {
  readonly config: Security;
  readonly registry: Registry;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  readonly log: Logger;
}

/** What protects the gRPC port. */
export class PortSecurity {
  readonly #tls: PortTls;

  constructor({ config, registry, wallClock, log }: PortSecurityOptions) {
    this.#tls = new PortTls({ config: config.tls, wallClock, log });
    this.#tls.declare(new Declarations(registry));
  }

  /** What the port listens with; undefined: plain. @throws AgentError EC_SECURITY_FILE */
  start(): ServerCredentials | undefined {
    return this.#tls.start();
  }

  stop(): void {
    this.#tls.stop();
  }
}
