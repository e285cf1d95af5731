import type { Cluster, Redis } from 'ioredis';
import type { Preload } from '../../api/tier.ts';
import type { HotKey } from '../analytics/hot-keys.ts';
import { fromRedis } from '../errors.ts';
import { hotKey } from '../l2/keys.ts';

export interface NamedKey {
  readonly namespace: string;
  readonly key: string;
}

/** Keys of late that a region keeps: as many as the largest tier holds in memory by default. */
const MOST = 5_000;
const MOST_HOURLY = 1_024;
const HALF_LIFE_SECONDS = 1_800;
/** Longer than a week, so that no hour of a quiet cache is lost. */
const LIFE_SECONDS = 8 * 86_400;
const HOUR_SECONDS = 3_600;
/** Of the prediction, the rest is what this hour of the day asked for on the days before. */
const SHARE_OF_LATE = 0.5;

/**
 * What the agents of a region are asked for, in Redis: bounded sorted sets of keys by lookups, of late and by hour of the day, the
 * past fading. A key's text is all that is kept, not its value.
 */
export class HotSet {
  readonly #next: () => Redis | Cluster;
  readonly #name: string;

  constructor(next: () => Redis | Cluster, cacheId: string, region: string) {
    this.#next = next;
    this.#name = hotKey(cacheId, region);
  }

  /**
   * @param seconds that passed since this agent last reported
   * @throws RedisUnavailableError, RedisRefusedError
   */
  async report(keys: readonly HotKey[], seconds: number): Promise<void> {
    const pairs = keys.flatMap(({ namespace, key, perSecond }) => [
      (perSecond * seconds).toFixed(3),
      `${namespace}:${key}`,
    ]);
    if (pairs.length === 0) return;
    const bounds = [HALF_LIFE_SECONDS, MOST, MOST_HOURLY, LIFE_SECONDS];
    await guard(this.#next().ecHot(1, this.#name, ...bounds, ...pairs));
  }

  /** The hottest first. @throws RedisUnavailableError, RedisRefusedError */
  async read(most: number, preload: Preload): Promise<NamedKey[]> {
    if (preload === 'none') return [];
    const shares = preload === 'hot' ? await this.#shares(this.#name, most) : await this.#predicted(most);
    return [...shares]
      .sort(([, a], [, b]) => b - a)
      .slice(0, most)
      .map(([member]) => nameOf(member));
  }

  /** What was asked for of late, and on the days before at this hour and the next, as near as each is. */
  async #predicted(most: number): Promise<Map<string, number>> {
    const [seconds] = await guard(this.#next().time());
    const hours = Number(seconds) / HOUR_SECONDS;
    const hour = Math.floor(hours) % 24;
    const elapsed = hours % 1;
    const parts: readonly [string, number][] = [
      [this.#name, SHARE_OF_LATE],
      [`${this.#name}:${hour}`, (1 - SHARE_OF_LATE) * (1 - elapsed)],
      [`${this.#name}:${(hour + 1) % 24}`, (1 - SHARE_OF_LATE) * elapsed],
    ];
    const sums = new Map<string, number>();
    for (const [name, weight] of parts) {
      for (const [member, share] of await this.#shares(name, most))
        sums.set(member, (sums.get(member) ?? 0) + share * weight);
    }
    return sums;
  }

  /** Shares of the lookups of a set: sets that were filled for longer must not outweigh others. */
  async #shares(name: string, most: number): Promise<Map<string, number>> {
    const flat = await guard(this.#next().zrevrange(name, 0, most - 1, 'WITHSCORES'));
    const scores: [string, number][] = [];
    for (let i = 0; i + 1 < flat.length; i += 2) scores.push([flat[i] ?? '', Number(flat[i + 1])]);
    const sum = scores.reduce((all, [, score]) => all + score, 0);
    return new Map(scores.map(([member, score]) => [member, score / sum]));
  }
}

/** Namespaces have no ":" in them. */
function nameOf(member: string): NamedKey {
  const colon = member.indexOf(':');
  return { namespace: member.slice(0, colon), key: member.slice(colon + 1) };
}

async function guard<T>(reply: Promise<T>): Promise<T> {
  try {
    return await reply;
  } catch (error) {
    throw fromRedis(error);
  }
}
