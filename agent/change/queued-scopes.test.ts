import { describe, expect, it } from 'vitest';
import type { ChangePart } from '../l2/l2.ts';
import { QueuedScopes } from './queued-scopes.ts';

function aPart(scope: Partial<ChangePart>): ChangePart {
  return {
    partition: 0,
    eventId: 'e',
    body: '',
    keys: [],
    tagMarkers: [],
    namespaceMarkers: [],
    minReplicas: 0,
    confirm: false,
    ...scope,
  };
}

describe('what waits to be sent', () => {
  const parts = {
    key: aPart({ keys: [{ namespace: 'a', key: 'k' }] }),
    tag: aPart({ tagMarkers: [{ namespace: 'a', tag: 't' }] }),
    namespace: aPart({ namespaceMarkers: ['a'] }),
  };

  it.each([
    ['key', 'k', [], true],
    ['key', 'other', [], false],
    ['tag', 'k', ['t'], true],
    ['tag', 'k', ['u'], false],
    ['namespace', 'k', [], true],
  ] as const)('by %s makes %s with tags %j old: %s', (kind, key, tags, old) => {
    const scopes = new QueuedScopes();
    scopes.add(parts[kind]);
    expect(scopes.covers('a', key, tags)).toBe(old);
    expect(scopes.covers('b', key, tags)).toBe(false);
    scopes.remove(parts[kind]);
    expect(scopes.covers('a', key, tags)).toBe(false);
  });

  it('is counted: what two changes name is old until both are sent', () => {
    const scopes = new QueuedScopes();
    scopes.add(parts.key);
    scopes.add(parts.key);
    scopes.remove(parts.key);
    expect(scopes.covers('a', 'k', [])).toBe(true);
    scopes.remove(parts.key);
    expect(scopes.covers('a', 'k', [])).toBe(false);
  });
});
