import { expect, test } from 'vitest';
import { asStored, correction, hasDrifted } from './drift.ts';

const wanted = {
  metadata: { name: 'x', labels: { a: '1' }, ownerReferences: [{ uid: 'u' }] },
  spec: { selector: { app: 'x' }, ports: [{ name: 'grpc', port: 1 }], policy: 'Local', paused: false },
};
const live = {
  metadata: {
    name: 'x',
    labels: { a: '1', theirs: '2' },
    ownerReferences: [{ uid: 'v' }, { uid: 'u', extra: 1 }],
  },
  spec: {
    selector: { app: 'x' },
    ports: [{ name: 'grpc', port: 1, protocol: 'TCP' }],
    policy: 'Local',
    clusterIP: '1',
  },
};
const changed = (change: (copy: typeof live) => void) => {
  const copy = structuredClone(live);
  change(copy);
  return copy;
};

test('defaults, labels of others and fields of others are no drift', () => {
  expect(hasDrifted(wanted, live)).toBe(false);
  expect(correction(wanted, live)).toBeUndefined();
});

test.each([
  ['a changed value', changed((c) => (c.spec.policy = 'Cluster'))],
  ['a label taken away', changed((c) => (c.metadata.labels = { theirs: '2' } as never))],
  ['another owner in place of ours', changed((c) => (c.metadata.ownerReferences = [{ uid: 'v' }] as never))],
  ['an item added to a list', changed((c) => c.spec.ports.push({ name: 'more', port: 2, protocol: 'TCP' }))],
  ['an entry added to a selector', changed((c) => (c.spec.selector = { app: 'x', more: 'y' } as never))],
  ['a switch turned on', changed((c) => Object.assign(c.spec, { paused: true }))],
])('%s is drift', (_what, object) => {
  expect(hasDrifted(wanted, object)).toBe(true);
});

test('what others added where it matters is taken away, which apply alone would not do', () => {
  const selector = changed((c) => (c.spec.selector = { app: 'x', more: 'y' } as never));
  expect(correction(wanted, selector)).toEqual({ spec: { selector: { more: null } } });
  const ports = changed((c) => c.spec.ports.push({ name: 'more', port: 2, protocol: 'TCP' }));
  expect(correction(wanted, ports)).toEqual({ spec: { ports: wanted.spec.ports } });
});

test('what the server writes in its own way is compared in that way', () => {
  const mine = { cpu: '1000m', list: [{ memory: '1024Mi' }] };
  const stored = { cpu: '1', list: [{ memory: '1Gi', more: true }], other: 1 };
  expect(asStored(mine, stored)).toEqual({ cpu: '1', list: [{ memory: '1Gi' }] });
});
