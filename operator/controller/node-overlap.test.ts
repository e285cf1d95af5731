import { expect, test } from 'vitest';
import type { KubeObject } from '../kube/object.ts';
import { aTier } from '../testing/a-tier.ts';
import { computeOverlaps, NodeOverlap } from './node-overlap.ts';

const node = (name: string, labels: Record<string, string>): KubeObject => ({ metadata: { name, labels } });
const region = (value: string) => ({ 'topology.kubernetes.io/region': value });

test('tiers that share a node are named with how many nodes they share', () => {
  const nodes = [node('a', { ...region('us'), pool: 'x' }), node('b', region('us')), node('c', region('eu'))];
  const tiers = [
    aTier('one', { region: 'us' }),
    aTier('two', { region: 'any', nodeSelector: { pool: 'x' } }),
    aTier('three', { region: 'eu' }),
  ];
  expect(Object.fromEntries(computeOverlaps(nodes, tiers))).toEqual({
    'shop/one': { nodes: 1, others: ['shop/two'] },
    'shop/two': { nodes: 1, others: ['shop/one'] },
  });
});

test('tiers with the same selector share all its nodes', () => {
  const nodes = [node('a', region('us')), node('b', region('us'))];
  const overlaps = computeOverlaps(nodes, [aTier('one', { region: 'us' }), aTier('two', { region: 'us' })]);
  expect(overlaps.get('shop/one')).toEqual({ nodes: 2, others: ['shop/two'] });
});

test('a tier that is being deleted shares nothing', () => {
  const leaving = aTier('two', { region: 'us' }, { deletionTimestamp: '2026-01-01T00:00:00Z' });
  expect(computeOverlaps([node('a', region('us'))], [aTier('one', { region: 'us' }), leaving]).size).toBe(0);
});

test('names the tiers for which something has changed', () => {
  const nodes = new Map([['a', node('a', region('us'))]]);
  const tiers = new Map([['one', aTier('one', { region: 'us' })]]);
  const overlap = new NodeOverlap(nodes, tiers);
  expect(overlap.refresh()).toEqual([]);
  tiers.set('two', aTier('two', { region: 'us' }));
  expect(overlap.refresh().sort()).toEqual(['shop/one', 'shop/two']);
  expect(overlap.refresh()).toEqual([]);
  nodes.clear();
  expect(overlap.refresh().sort()).toEqual(['shop/one', 'shop/two']);
});
