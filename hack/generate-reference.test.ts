import { beforeAll, describe, expect, it } from 'vitest';
import { AGENT_ENVIRONMENT } from '../api/agent-config.ts';
import { referenceFiles } from './generate-reference.ts';

let files: Map<string, string>;
const page = (name: string) => files.get(`${name}.md`) ?? '';
/** The row of a table that begins with a cell. */
const row = (name: string, first: string) =>
  page(name)
    .split('\n')
    .find((line) => line.startsWith(`| \`${first}\` |`));

beforeAll(async () => {
  files = await referenceFiles();
}, 60_000);

describe('the reference', () => {
  it('has a page for each contract, and an index that names them', () => {
    const names = [...files.keys()].filter((name) => name !== 'README.md');
    for (const name of names) expect(page('README')).toContain(`](${name})`);
    expect(names.length).toBe(8);
  });

  it('says type, range, default and rule of a field of the tier', () => {
    expect(row('tier', 'maxStalenessMs')).toContain('| integer, 100 to 60000 | `1000` |');
    expect(row('tier', 'region')).toContain('| required |');
    expect(row('tier', 'redis')).toContain('`db` must be 0 in cluster mode');
    expect(row('tier', 'namespaces[].adaptiveTtl.minSeconds')).toBeDefined();
  });

  it('says which field each environment variable sets', () => {
    for (const name of AGENT_ENVIRONMENT) expect(row('agent-config', name)).toBeDefined();
    expect(row('agent-config', 'CACHE_L1_SIZE')).toBe('| `CACHE_L1_SIZE` | `l1.maxEntries` |');
  });

  it('has the comments of values.yaml and the types of their schema', () => {
    expect(row('chart', 'crds.enabled')).toBe(
      '| `crds.enabled` | boolean | `true` | Install and upgrade the CustomResourceDefinition with the chart. |',
    );
    expect(row('chart', 'operator.workers')).toContain('| integer, 1 to 32 | `4` |');
  });

  it('has calls and fields of the wire contract with their comments', () => {
    expect(row('wire', 'Watch')).toContain(
      '| [WatchRequest](#watchrequest) | stream of [WatchResponse](#watchresponse) |',
    );
    expect(page('wire')).toContain('| 1 | `found` | `bool` |');
    expect(page('wire')).toContain('one of `kind`');
  });

  it('has what callers of the client see, and nothing else', () => {
    expect(page('client')).toContain('#### getOrLoad\n');
    expect(page('client')).toContain('get(namespace: string, key: string): Promise<Found<unknown>>;');
    expect(row('client', 'connectTimeoutMs?')).toContain('Default 100');
    // Neither private members nor what implements overloads.
    expect(page('client')).not.toMatch(/#pool|#ask|isAgentsAnswer/);
    expect(page('client')).not.toContain('options: GetOptions<T> = {}');
  });

  it('has every metric with its type and labels', () => {
    expect(row('metrics', 'edgecache_lookups_total')).toContain('| counter | `cache_namespace`, `answer` |');
    expect(row('metrics', 'edgecache_call_duration_seconds')).toContain('| histogram |');
    expect(row('metrics', 'edgecache_operator_workqueue_depth')).toContain('| gauge |');
  });

  it('has every command with its options', () => {
    for (const name of ['get', 'put', 'invalidate', 'publish', 'watch', 'stats', 'doctor', 'completion'])
      expect(page('commands')).toContain(`## edgecache ${name}\n`);
    expect(page('commands')).toContain('Starts a cache agent');
  });
});
