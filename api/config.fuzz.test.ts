import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { damaged, FUZZ, orRefusal } from '../test/support/fuzz.ts';
import { AGENT_ENVIRONMENT, agentFileOf, resolveAgentConfig } from './agent-config.ts';
import { InvalidInputError } from './errors.ts';
import { parseTier } from './tier.ts';

const isRefused = (error: unknown) => error instanceof InvalidInputError;
const resolve = (file: unknown, env: Record<string, string> = {}) =>
  orRefusal(() => resolveAgentConfig(file, env), isRefused);

/** Any JSON, with the names of the configuration's own fields among its keys. */
const FIELDS = [
  ...[
    'nodeId',
    'region',
    'tier',
    'cacheId',
    'partitions',
    'maxStalenessMs',
    'l1',
    'namespaces',
    'redis',
    'outbox',
  ],
  ...[
    'security',
    'limits',
    'accessLog',
    'origin',
    'maxEntries',
    'maxBytes',
    'nodes',
    'name',
    'ttlSeconds',
    'mode',
  ],
  ...[
    'grpcAddress',
    'httpAddress',
    'critical',
    'memoryLimit',
    '__proto__',
    'constructor',
    'toString',
    'toJSON',
  ],
];
const { value: anyFile } = fc.letrec((tie) => ({
  leaf: fc.oneof(
    fc.constantFrom('edge', 'cluster', '127.0.0.1:6379', '10Gi', 'ns', '0.0.0.0:7480', 'unix:/a', true, null),
    fc.integer(),
    fc.double(),
    fc.string(),
  ),
  list: fc.array(tie('value'), { maxLength: 3 }),
  record: fc.dictionary(fc.oneof(fc.constantFrom(...FIELDS), fc.string({ maxLength: 6 })), tie('value'), {
    maxKeys: 6,
  }),
  value: fc.oneof({ maxDepth: 4 }, tie('leaf'), tie('list'), tie('record'), tie('record')),
}));

describe('the configuration of an agent', () => {
  it('is taken or refused with what is wrong, whatever is in the file', () => {
    fc.assert(
      fc.property(anyFile, (file) => {
        const config = resolve(file);
        if (config === undefined) return;
        expect(config.namespaces.length).toBeGreaterThan(0);
        expect(Reflect.get({}, 'polluted')).toBeUndefined();
      }),
      FUZZ,
    );
  });

  it('is taken or refused, whatever is in the environment', () => {
    const env = fc.dictionary(
      fc.constantFrom(...AGENT_ENVIRONMENT, 'CACHE_NO_SUCH', 'OTHER'),
      fc.oneof(fc.string(), fc.constantFrom('true', 'false', '1', 'cluster', 'a:1,b:2', '6379', 'edge')),
      { maxKeys: 6 },
    );
    fc.assert(
      fc.property(env, (variables) => void resolve({}, variables)),
      FUZZ,
    );
  });

  it('that was taken is taken again, and means the same', () => {
    const file = {
      region: 'us-east',
      redis: { nodes: ['redis:6379'], mode: 'cluster' },
      namespaces: [{ name: 'ns', ttlSeconds: 5, memoryLimit: '10M' }],
      security: { limits: { maxConnections: 7 } },
    };
    const text = damaged(fc.constant(Buffer.from(JSON.stringify(file))));
    fc.assert(
      fc.property(text, (bytes) => {
        const read = orRefusal(
          () => parse(bytes.toString('utf8'), { logLevel: 'silent' }),
          (error) => error instanceof Error,
        );
        const config = resolve(read);
        if (config !== undefined) expect(resolve(read)).toEqual(config);
      }),
      FUZZ,
    );
  });
});

describe('a tier', () => {
  const tier = fc.record(
    {
      apiVersion: fc.constantFrom('edgecache.dev/v1alpha1', 'v1'),
      kind: fc.constant('EdgeCacheTier'),
      metadata: fc.record({ name: fc.constantFrom('t', '', 'T!') }),
      spec: fc.oneof(
        anyFile,
        fc
          .dictionary(fc.constantFrom(...FIELDS), anyFile, { maxKeys: 3 })
          .map((more) => ({ region: 'us-east', tier: 'edge', redis: { nodes: ['redis:6379'] }, ...more })),
      ),
    },
    { requiredKeys: [] },
  );

  it('is taken or refused, and what is taken makes a configuration', () => {
    fc.assert(
      fc.property(fc.oneof(tier, anyFile), (manifest) => {
        const parsed = orRefusal(() => parseTier(manifest), isRefused);
        if (parsed !== undefined)
          expect(resolveAgentConfig(agentFileOf(parsed), {}).region).toBe(parsed.spec.region);
      }),
      FUZZ,
    );
  });
});
