import { describe, expect, it } from 'vitest';
import type { AccessRule } from '../../api/port-auth.ts';
import { AccessRules, Caller } from './access-rules.ts';

const NEVER = Number.POSITIVE_INFINITY;
const RULES: readonly AccessRule[] = [
  { identities: ['serviceaccount:shop/*'], namespaces: ['gpu_*'], allow: ['read'] },
  { identities: ['serviceaccount:shop/booking'], namespaces: ['gpu_avail'], allow: ['write', 'invalidate'] },
  { identities: ['token:ops'], namespaces: ['*'], allow: ['invalidate', 'admin'] },
];
const callerOf = (name: string, rules = new AccessRules(RULES)) =>
  new Caller({ name, expiresAt: NEVER }, rules);

describe('rules', () => {
  it.each([
    ['serviceaccount:shop/web', 'read', 'gpu_avail', true],
    ['serviceaccount:shop/web', 'read', 'orders', false],
    ['serviceaccount:shop/web', 'write', 'gpu_avail', false],
    ['serviceaccount:shop/booking', 'write', 'gpu_avail', true],
    ['serviceaccount:shop/booking', 'write', 'gpu_pricing', false],
    ['serviceaccount:shop/booking', 'read', 'gpu_pricing', true],
    ['serviceaccount:shop-evil/booking', 'read', 'gpu_avail', false],
    ['serviceaccount:other/shop', 'read', 'gpu_avail', false],
    ['token:ops', 'invalidate', 'anything', true],
    ['token:ops', 'read', 'gpu_avail', false],
    ['token:ops2', 'invalidate', 'gpu_avail', false],
    ['anonymous', 'read', 'gpu_avail', false],
  ] as const)('%s may %s in %s: %s', (name, action, namespace, allowed) => {
    expect(callerOf(name).may(action, namespace)).toBe(allowed);
  });

  it('name identity, action and namespace where they deny, and count it', () => {
    const rules = new AccessRules(RULES);
    const caller = callerOf('token:x', rules);
    expect(() => caller.check('write', 'gpu_avail')).toThrow(
      "token:x may not write in namespace 'gpu_avail'; no rule of security.accessRules allows it",
    );
    expect(() => caller.checkAdmin('Stats')).toThrow('token:x may not call Stats, which needs admin');
    expect(rules.denials).toBe(2);
    expect(() => callerOf('token:ops').checkAdmin('Stats')).not.toThrow();
  });

  it('that are replaced count for who is there already', () => {
    const rules = new AccessRules([]);
    const caller = callerOf('token:x', rules);
    expect(caller.may('read', 'a')).toBe(false);
    rules.replace([{ identities: ['*'], namespaces: ['a'], allow: ['read'] }]);
    caller.checkLasting(() => ['a']);
    rules.replace([]);
    expect(() => caller.checkAgain()).toThrow('token:x may not read');
  });

  it('that are not there at all let tokens of the agent’s own do everything, and nobody else anything', () => {
    const none = new AccessRules(undefined);
    expect(callerOf('token:default', none).may('write', 'a')).toBe(true);
    expect(() => callerOf('token:default', none).checkAdmin('Stats')).not.toThrow();
    for (const name of ['anonymous', 'cert:x', 'serviceaccount:a/b'])
      expect(callerOf(name, none).may('read', 'a')).toBe(false);
  });
});
