import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { CallDurations } from './call-durations.ts';

it('counts calls by method, outcome and time, as a histogram', async () => {
  const registry = new Registry();
  const get = new CallDurations(registry).recorder('Get');
  get.answered(0.2);
  get.answered(0.25);
  get.answered(9_000);
  get.failed('NOT_FOUND', 1);
  const lines = (await registry.metrics()).split('\n');
  const name = 'edgecache_call_duration_seconds';
  expect(lines).toContain(`# TYPE ${name} histogram`);
  expect(lines).toContain(`${name}_bucket{le="0.0001",method="Get",code="OK"} 0`);
  expect(lines).toContain(`${name}_bucket{le="0.00025",method="Get",code="OK"} 2`);
  expect(lines).toContain(`${name}_bucket{le="5",method="Get",code="OK"} 2`);
  expect(lines).toContain(`${name}_bucket{le="+Inf",method="Get",code="OK"} 3`);
  expect(lines).toContain(`${name}_count{method="Get",code="OK"} 3`);
  expect(lines).toContain(`${name}_count{method="Get",code="NOT_FOUND"} 1`);
});

it('says nothing of methods that nobody has called', async () => {
  const registry = new Registry();
  new CallDurations(registry).recorder('Put');
  expect(await registry.metrics()).not.toContain('Put');
});
