import { expect, it } from 'vitest';
import { Turns } from './turns.ts';

function harness(budgetMs: number) {
  let time = 0;
  const rounds: (() => void)[] = [];
  const turns = new Turns({ budgetMs, now: () => time, schedule: (run) => rounds.push(run) });
  const runRound = () => rounds.shift()?.();
  return { turns, rounds, runRound, pass: (ms: number) => (time += ms) };
}

it('lets each do one piece before anyone does a second', () => {
  const { turns, runRound } = harness(100);
  const order: string[] = [];
  const worker = (name: string, pieces: number) => {
    let left = pieces;
    return () => {
      order.push(name);
      left -= 1;
      return left > 0;
    };
  };
  turns.request(worker('greedy', 4));
  turns.request(worker('modest', 1));
  runRound();
  expect(order).toEqual(['greedy', 'modest', 'greedy', 'greedy', 'greedy']);
});

it('stops at its budget and goes on where it was, after everybody else', () => {
  const { turns, rounds, runRound, pass } = harness(2);
  const order: string[] = [];
  const slow = (name: string) => () => {
    order.push(name);
    pass(2);
    return true;
  };
  turns.request(slow('a'));
  turns.request(slow('b'));
  runRound();
  expect(order).toEqual(['a']);
  expect(rounds.length).toBe(1);
  runRound();
  runRound();
  expect(order).toEqual(['a', 'b', 'a']);
});
