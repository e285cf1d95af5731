import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { liveMetrics } from '../reference/metrics.ts';
import { grafanaJson } from './dashboard.ts';
import { DASHBOARDS } from './dashboards.ts';

const datasource = z.strictObject({ type: z.literal('prometheus'), uid: z.literal('$datasource') });
const panel = z.looseObject({
  id: z.int().positive(),
  title: z.string().min(1),
  gridPos: z.strictObject({ x: z.int(), y: z.int(), w: z.int().positive(), h: z.int().positive() }),
});
const row = panel.extend({ type: z.literal('row'), collapsed: z.literal(false), panels: z.tuple([]) });
const graph = panel.extend({
  type: z.enum(['timeseries', 'stat', 'table']),
  description: z.string().min(10),
  datasource,
  targets: z
    .array(
      z.looseObject({
        refId: z.string().length(1),
        datasource,
        expr: z.string().min(1),
        legendFormat: z.string(),
      }),
    )
    .min(1),
  fieldConfig: z.looseObject({
    defaults: z.looseObject({ unit: z.string() }),
    overrides: z.array(z.never()),
  }),
});
const variable = z.looseObject({
  name: z.string().regex(/^[a-z_]+$/),
  label: z.string().min(1),
  type: z.enum(['datasource', 'query']),
});
/** What of Grafana's form of a dashboard these use. */
const dashboardSchema = z.looseObject({
  uid: z.string().regex(/^[a-z0-9-]{1,40}$/),
  title: z.string().min(1),
  schemaVersion: z.literal(39),
  templating: z.strictObject({ list: z.array(variable) }),
  panels: z.array(z.union([row, graph])).min(1),
});

const parsed = DASHBOARDS.map((dashboard) => {
  const json: unknown = JSON.parse(JSON.stringify(grafanaJson(dashboard)));
  return [dashboard.name, dashboardSchema.parse(json)] as const;
});

describe('dashboards', () => {
  it('have names of their own', () => {
    for (const field of ['uid', 'title'] as const)
      expect(new Set(parsed.map(([, json]) => json[field])).size).toBe(parsed.length);
  });

  it.each(parsed)(
    '%s: each panel has an id of its own, and a place where no other is',
    (_name, { panels }) => {
      expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
      const taken = new Set<string>();
      for (const { gridPos } of panels) {
        expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
        for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
          for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
            expect(taken.has(`${x},${y}`)).toBe(false);
            taken.add(`${x},${y}`);
          }
      }
    },
  );

  it.each(parsed)('%s: every variable that is used is declared, the data source first', (_name, json) => {
    const declared = json.templating.list.map(({ name }) => name);
    expect(declared[0]).toBe('datasource');
    const used = [...JSON.stringify(json).matchAll(/\$\{?([a-z_]+)\b/g)].map(([, name]) => name ?? '');
    // Grafana's own begin with two underscores.
    for (const name of used.filter((one) => !one.startsWith('__'))) expect(declared).toContain(name);
    for (const name of declared) expect(used).toContain(name);
  });

  it('ask for metrics that are there', async () => {
    const { agent, operator } = await liveMetrics();
    const forms = (name: string) => [name, `${name}_bucket`, `${name}_count`, `${name}_sum`];
    const known = new Set([...agent, ...operator].flatMap(({ name }) => forms(name)));
    for (const [, json] of parsed)
      for (const [name] of JSON.stringify(json).matchAll(/\b(edgecache|nodejs|process)_[a-z0-9_]+/g))
        expect([name, known.has(name)]).toEqual([name, true]);
  });
});
