import type { L1Policy } from '../../../api/tier.ts';
import type { BoundedStore, BoundedStoreOptions } from '../store.ts';
import { AdaptivePolicy } from './adaptive-policy.ts';
import { FrequencySketch } from './frequency-sketch.ts';
import { LruStore } from './lru-store.ts';
import { S3FifoPolicy } from './s3-fifo-policy.ts';
import { Links } from './slot-list.ts';
import { SlotStore } from './slot-store.ts';
import { TinyLfuPolicy } from './tiny-lfu-policy.ts';

/** A bounded map that evicts by the named policy. */
export function createStore<V extends object>(
  policy: L1Policy,
  options: BoundedStoreOptions<V>,
): BoundedStore<V> {
  const links = new Links();
  switch (policy) {
    case 'lru':
      return new LruStore(options);
    case 's3fifo':
      return new SlotStore(options, links, (capacity) => new S3FifoPolicy(links, capacity));
    case 'tinylfu':
      return new SlotStore(
        options,
        links,
        (capacity) => new TinyLfuPolicy(links, capacity, new FrequencySketch()),
      );
    case 'default':
      return new SlotStore(options, links, (capacity) => new AdaptivePolicy(links, capacity));
  }
}
