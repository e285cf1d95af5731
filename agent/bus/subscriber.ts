import { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { splitHostPort } from '../../api/redis.ts';
import type { L2 } from '../l2/l2.ts';
import { baseOptions, type RedisConnectionConfig, sentinelOptions } from '../redis/connections.ts';
import type { Placement } from '../redis/masters.ts';
import { TlsFiles } from '../redis/tls-files.ts';

export interface SubscriberHandlers {
  readonly message: (partition: number, json: string) => void;
  /** An agent has applied a change of this agent's: the text that it sent. */
  readonly acknowledged: (partition: number, text: string) => void;
  /** Once, when the connection or one of its subscriptions is known to be gone. */
  readonly lost: (reason: string) => void;
}

export interface SubscriberOptions {
  readonly config: RedisConnectionConfig;
  readonly placement: Placement;
  readonly l2: L2;
  readonly agentId: string;
  readonly handlers: SubscriberHandlers;
  readonly log: Logger;
}

/**
 * The subscriptions to the partitions of one master, on one connection that lives once: it is made, subscribed and,
 * at the first doubt, thrown away. Client libraries that resubscribe by themselves do so silently and sometimes
 * not at all (ioredis#240, redis#7855), so nothing is left to them.
 */
export class Subscriber {
  readonly placement: Placement;
  readonly #connection: Redis;
  readonly #handlers: SubscriberHandlers;
  readonly #byChannel = new Map<string, number>();
  readonly #byAckChannel = new Map<string, number>();
  #alive = true;
  #ready = false;
  #nonce = 0;

  constructor({ config, placement, l2, agentId, handlers, log }: SubscriberOptions) {
    this.placement = placement;
    this.#handlers = handlers;
    for (const partition of placement.partitions) {
      this.#byChannel.set(l2.keysOf(partition).channel, partition);
      this.#byAckChannel.set(l2.keysOf(partition).acknowledgements(agentId), partition);
    }
    const tls = new TlsFiles(config.redis);
    this.#connection = new Redis({
      ...baseOptions(config, 'events', tls),
      ...addressOf(config, placement, tls),
      retryStrategy: () => null,
      lazyConnect: true,
    });
    this.#connection.on('error', (error) =>
      log.debug({ error: tls.explain(error) }, 'event connection failed'),
    );
    this.#connection.on('end', () => this.#lose('the connection ended'));
    // A slot that moved away takes its subscriptions with it.
    this.#connection.on('moved', () => this.#lose('a slot moved to another master'));
    this.#connection.on('smessage', (channel: string, json: string) => {
      if (!this.#alive) return;
      const partition = this.#byChannel.get(channel);
      if (partition !== undefined) {
        handlers.message(partition, json);
        return;
      }
      const acked = this.#byAckChannel.get(channel);
      if (acked !== undefined) handlers.acknowledged(acked, json);
    });
  }

  get ready(): boolean {
    return this.#ready && this.#alive;
  }

  /** Connects and subscribes; resolves when every subscription is acknowledged. @throws on any failure. */
  async start(): Promise<void> {
    await this.#connection.connect();
    // One by one: in a cluster each channel is in the slot of its partition, and a command may name one slot only.
    await Promise.all(
      [...this.#byChannel.keys(), ...this.#byAckChannel.keys()].map((channel) =>
        this.#connection.ssubscribe(channel),
      ),
    );
    this.#ready = true;
  }

  /**
   * Returns when Redis has answered behind everything that it had published on this connection before.
   * @throws where the answer is not to this question: then replies have lost their order.
   */
  async ping(): Promise<void> {
    this.#nonce += 1;
    const sent = String(this.#nonce);
    const answer: unknown = await this.#connection.call('PING', sent);
    const got = Array.isArray(answer) ? String(answer[1]) : String(answer);
    if (got !== sent) throw new Error(`PING ${sent} was answered with ${got}`);
  }

  close(): void {
    this.#alive = false;
    this.#connection.disconnect();
  }

  /** Gives the connection up and says so. */
  abandon(reason: string): void {
    this.#lose(reason);
  }

  #lose(reason: string): void {
    if (!this.#alive) return;
    this.close();
    this.#handlers.lost(reason);
  }
}

function addressOf(config: RedisConnectionConfig, placement: Placement, tls: TlsFiles) {
  if (placement.master !== undefined) return placement.master;
  if (config.redis.mode === 'sentinel') return sentinelOptions(config, tls);
  return splitHostPort(config.redis.nodes[0] ?? '');
}
