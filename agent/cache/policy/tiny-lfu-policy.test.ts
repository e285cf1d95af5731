import { expect, it } from 'vitest';
import { Capacity } from './eviction-policy.ts';
import { FrequencySketch } from './frequency-sketch.ts';
import { mix } from './key-hash.ts';
import { LruPolicy } from './lru-policy.ts';
import { Links } from './slot-list.ts';
import { TinyLfuPolicy } from './tiny-lfu-policy.ts';

it('names no victim that has left while another policy ruled', () => {
  const links = new Links();
  const capacity = new Capacity(4, Number.MAX_SAFE_INTEGER);
  const tinyLfu = new TinyLfuPolicy(links, capacity, new FrequencySketch());
  const lru = new LruPolicy(links);
  const add = (slot: number, key: number) => {
    tinyLfu.add(slot, mix(key), 1);
    capacity.entries += 1;
    capacity.weight += 1;
    capacity.noteFull();
  };
  for (const slot of [0, 1, 2, 3]) add(slot, slot);
  tinyLfu.evict(tinyLfu.victim());
  for (let use = 0; use < 5; use++) tinyLfu.use(3);
  add(0, 4);
  // Slot 3 falls out of the window, wins against slot 1 by its uses, and is the next to be compared.
  expect(tinyLfu.victim()).toBe(1);
  tinyLfu.evict(1);
  lru.adopt(tinyLfu.lists);
  lru.remove(3);
  tinyLfu.adopt(lru.lists, 0.25);
  expect([0, 2]).toContain(tinyLfu.victim());
});
