import { describe, expect, it } from 'vitest';
import { resolveAgentConfig } from './agent-config.ts';
import { coldPart, isGuarded, withHotPart } from './reload.ts';

const RULES = [{ identities: ['token:a'], namespaces: ['*'], allow: ['read' as const] }];
const OTHERS = [{ identities: ['token:b'], namespaces: ['*'], allow: ['read' as const] }];

describe('what needs new pods', () => {
  it('is what is not hot', () => {
    expect(coldPart({ region: 'r', l1: { maxEntries: 1 }, logLevel: 'info' })).toEqual({ region: 'r' });
  });

  it('are not rules that change, but that callers are told apart', () => {
    const required = { auth: { required: true } };
    expect(coldPart({ security: { ...required, accessRules: RULES } })).toEqual(
      coldPart({ security: required }),
    );
    expect(coldPart({ security: { accessRules: RULES } })).toEqual(
      coldPart({ security: { accessRules: OTHERS } }),
    );
    expect(coldPart({ security: { accessRules: RULES } })).not.toEqual(coldPart({ security: {} }));
    expect(coldPart({ security: { tls: { enabled: true } } })).not.toEqual(coldPart({ security: {} }));
  });
});

describe('a configuration that changes', () => {
  const config = (security: object, l1 = 1) =>
    resolveAgentConfig({ security, l1: { maxEntries: l1 } }, { CACHE_AUTH_TOKEN: 'a-token-of-16-or-more' });

  it('takes rules and what else is hot, and leaves what is cold', () => {
    const running = config({ auth: { required: true }, accessRules: RULES });
    const tls = { enabled: true, certFile: '/a', keyFile: '/b' };
    const next = withHotPart(running, config({ tls, auth: { required: true }, accessRules: OTHERS }, 2));
    expect(next.security.accessRules).toEqual(OTHERS);
    expect(next.security.tls.enabled).toBe(false);
    expect(next.l1.maxEntries).toBe(2);
    const without = withHotPart(running, config({ auth: { required: true } }));
    expect(without.security.accessRules).toBeUndefined();
    expect(isGuarded(without)).toBe(true);
  });
});
