import { within } from '../loading/patience.ts';
import type { Background } from './background.ts';
import type { EdgeReader } from './edge-reader.ts';
import type { ExistingCache } from './existing-cache.ts';
import { type MigrationHooks, tell } from './hooks.ts';
import type { Judge, Look } from './judge.ts';
import type { MigrationSettings } from './settings.ts';
import { type Judged, JudgedTally } from './tally.ts';

export interface ObserverOptions<T> {
  readonly namespace: string;
  readonly existing: ExistingCache<T>;
  readonly edge: EdgeReader<T>;
  readonly judge: Judge<T>;
  readonly background: Background;
  readonly hooks: MigrationHooks;
  readonly deadlineMs: number;
  readonly random: () => number;
}

/** Compares a sample of the answers of one namespace with the source, when nobody waits, and counts what it finds. */
export class Observer<T> {
  readonly tallies: Readonly<Record<Judged, JudgedTally>> = {
    existing: new JudgedTally(),
    edge: new JudgedTally(),
  };
  readonly #options: ObserverOptions<T>;
  readonly #looks: Readonly<Record<Judged, Look<T>>>;
  /** Counts the phases: a verdict that was begun in another one says nothing about this one. */
  #phases = 0;

  constructor(options: ObserverOptions<T>) {
    this.#options = options;
    const { existing, edge, deadlineMs } = options;
    this.#looks = {
      existing: async (key) => {
        const value = await existing.get(key);
        return value === undefined ? undefined : { value };
      },
      edge: async (key) => {
        const answer = await edge.look(key, { deadlineMs });
        return typeof answer === 'object' ? answer : undefined;
      },
    };
  }

  /** Takes note of an answer that somebody was given. Never throws, and does nothing before this turn is over. */
  observe(key: string, of: Judged, value: T | undefined, { sampleShare, phase }: MigrationSettings): void {
    const { random, background } = this.#options;
    if (sampleShare === 0 || random() >= sampleShare) return;
    const isCurrent = this.#sincePhase();
    const work = async () => {
      const looks = [this.#compare(key, of, value, isCurrent)];
      // Edge Cache is looked at as well, though nobody asked it.
      if (of === 'existing' && phase !== 'observe') looks.push(this.#shadow(key, isCurrent));
      await Promise.all(looks);
    };
    if (!background.offer(work)) this.tallies[of].drop();
  }

  /** From now on caches are told and filled otherwise: what is being compared is not counted. */
  beginPhase(): void {
    this.#phases += 1;
  }

  #sincePhase(): () => boolean {
    const phase = this.#phases;
    return () => phase === this.#phases;
  }

  async #compare(key: string, of: Judged, value: T | undefined, isCurrent: () => boolean): Promise<void> {
    const { namespace, judge, hooks } = this.#options;
    try {
      const verdict = await judge.judge(key, value, this.#looks[of]);
      if (!isCurrent()) return;
      this.tallies[of].count(verdict);
      tell(() => hooks.judged?.(namespace, of, verdict));
    } catch (error) {
      this.#failed(of, error);
    }
  }

  async #shadow(key: string, isCurrent: () => boolean): Promise<void> {
    const { edge, background, deadlineMs } = this.#options;
    try {
      const answer = await background.step(() => edge.look(key, { deadlineMs }));
      if (typeof answer === 'object') await this.#compare(key, 'edge', answer.value, isCurrent);
      // So that there is something to judge the next time.
      else if (answer === 'miss') await background.step(() => within(deadlineMs, edge.getOrLoad(key), late));
    } catch (error) {
      this.#failed('edge', error);
    }
  }

  #failed(of: Judged, error: unknown): void {
    const { namespace, hooks } = this.#options;
    this.tallies[of].fail(error);
    tell(() => hooks.comparisonFailed?.(namespace, of, error));
  }
}

function late(): Error {
  return new Error('the source of truth did not answer in time');
}
