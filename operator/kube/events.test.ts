import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { KubeClient } from './client.ts';
import { EventRecorder } from './events.ts';
import type { KubeObject } from './object.ts';

const TIER: KubeObject = {
  apiVersion: 'edgecache.dev/v1alpha1',
  kind: 'EdgeCacheTier',
  metadata: { name: 'first', namespace: 'default', uid: 'u' },
};

test('events sort by their names as they happened: kubectl describe knows no other order', async () => {
  const names: string[] = [];
  const client = {
    create: async (_resource: unknown, { metadata }: KubeObject) => {
      names.push(metadata.name);
    },
  } as unknown as KubeClient;
  const recorder = new EventRecorder(client, 'here', pino({ enabled: false }));
  for (let index = 0; index < 100; index++)
    recorder.record(TIER, { type: 'Normal', reason: 'Any', action: 'Test', note: `${index}` });
  await recorder.flush();
  expect(names).toHaveLength(100);
  expect(new Set(names).size).toBe(100);
  expect(names).toEqual(names.toSorted());
});
