import calculateSlot from 'cluster-key-slot';
import { PartitionKeys } from '../../agent/l2/keys.ts';

const PARTITIONS = 16;

export function agentChannel(partition: number): string {
  return new PartitionKeys('chaos', partition).channel;
}

/** Slots in which the chaos cache lives. */
export const CHAOS_CACHE = {
  partitions: PARTITIONS,
  slots: Array.from({ length: PARTITIONS }, (_, p) => calculateSlot(new PartitionKeys('chaos', p).hashTag)),
} as const;
