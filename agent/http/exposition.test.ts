import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { expose } from './exposition.ts';

const ACCEPT = 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';

function aRegistry(): Registry {
  const registry = new Registry();
  const registers = [registry];
  new Counter({ name: 'calls_total', help: 'Calls of "a".', labelNames: ['of'], registers }).inc(
    { of: 'a"b\n' },
    2,
  );
  new Gauge({ name: 'share', help: 'Share.', registers }).set(Number.POSITIVE_INFINITY);
  // A registry of this form refuses metrics with exemplars when they are made, not when they are handed over.
  const seconds = new Histogram({
    name: 'took_seconds',
    help: 'Time.',
    buckets: [1],
    enableExemplars: true,
    registers: [],
  });
  seconds.observe({ value: 0.5, exemplarLabels: { trace_id: 'abc' } });
  registry.registerMetric(seconds);
  return registry;
}

it('is Prometheus’ text for who asks for nothing else', async () => {
  const registry = aRegistry();
  const { type, body } = await expose(registry, '*/*');
  expect(type).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(body).toContain('# TYPE calls_total counter\n');
  expect(body).not.toContain('trace_id');
});

it('is OpenMetrics, with exemplars, for who accepts it, and changes nothing for others', async () => {
  const registry = aRegistry();
  const before = (await expose(registry)).body;
  const { type, body } = await expose(registry, ACCEPT);
  expect(type).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8');
  const lines = body.split('\n');
  expect(lines).toContain('# TYPE calls counter');
  expect(lines).toContain('calls_total{of="a\\"b\\n"} 2');
  expect(lines).toContain('share +Inf');
  expect(body).toMatch(/took_seconds_bucket\{le="1"\} 1 # \{trace_id="abc"\} 0\.5 \d+/);
  expect(body.endsWith('\n# EOF\n')).toBe(true);
  expect((await expose(registry)).body).toBe(before);
});
