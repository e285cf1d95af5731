import { describe, expect, it } from 'vitest';
import { resolveAgentConfig } from './agent-config.ts';
import { TRACING_VARIABLES } from './tracing.ts';

const resolve = (file: object, env: Record<string, string> = {}) => resolveAgentConfig(file, env).tracing;

describe('configuration of traces', () => {
  it('traces nothing without an endpoint', () => {
    expect(resolve({})).toBeUndefined();
    expect(resolve({ tracing: { sampleRatio: 1 } }, { OTEL_TRACES_SAMPLER: 'always_on' })).toBeUndefined();
  });

  it('adds the path of traces to an endpoint', () => {
    expect(resolve({ tracing: { endpoint: 'http://collector:4318' } })).toEqual({
      url: 'http://collector:4318/v1/traces',
      parentBased: true,
      ratio: 0.01,
      serviceName: 'edgecache-agent',
      attributes: {},
    });
    expect(resolve({ tracing: { endpoint: 'https://traces.example/otlp/' } })?.url).toBe(
      'https://traces.example/otlp/v1/traces',
    );
  });

  it('lets the environment go before the file', () => {
    const file = { tracing: { endpoint: 'http://file:4318', sampleRatio: 0.5 } };
    expect(resolve(file, { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://env:4318' })?.url).toBe(
      'http://env:4318/v1/traces',
    );
    expect(resolve(file, { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://env:4318/here' })?.url).toBe(
      'http://env:4318/here',
    );
    expect(resolve(file, { OTEL_TRACES_SAMPLER_ARG: '0.25' })?.ratio).toBe(0.25);
    expect(resolve(file, { OTEL_EXPORTER_OTLP_ENDPOINT: '' })?.url).toBe('http://file:4318/v1/traces');
  });

  it.each([
    ['always_on', { parentBased: false, ratio: 1 }],
    ['always_off', { parentBased: false, ratio: 0 }],
    ['traceidratio', { parentBased: false, ratio: 0.5 }],
    ['parentbased_always_on', { parentBased: true, ratio: 1 }],
    ['parentbased_always_off', { parentBased: true, ratio: 0 }],
    ['parentbased_traceidratio', { parentBased: true, ratio: 0.5 }],
  ])('knows the sampler %s', (OTEL_TRACES_SAMPLER, sampler) => {
    const env = { OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG: '0.5' };
    expect(resolve({ tracing: { endpoint: 'http://c:4318' } }, env)).toMatchObject(sampler);
  });

  it('takes names and attributes of the service', () => {
    const env = { OTEL_SERVICE_NAME: 'cache', OTEL_RESOURCE_ATTRIBUTES: 'team=gpu,note=a%20b%2Cc' };
    expect(resolve({ tracing: { endpoint: 'http://c:4318' } }, env)).toMatchObject({
      serviceName: 'cache',
      attributes: { team: 'gpu', note: 'a b,c' },
    });
  });

  it.each([{ OTEL_SDK_DISABLED: 'true' }, { OTEL_TRACES_EXPORTER: 'none' }])(
    'is switched off by %o',
    (env) => {
      expect(resolve({ tracing: { endpoint: 'http://c:4318' } }, env)).toBeUndefined();
    },
  );

  it.each([
    ['OTEL_TRACES_EXPORTER', 'zipkin', /must be otlp or none/],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4317', /must be the URL of an OTLP receiver/],
    ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc', /must be http\/json/],
    ['OTEL_TRACES_SAMPLER', 'jaeger_remote', /must be one of always_on/],
    ['OTEL_TRACES_SAMPLER_ARG', 'half', /must be a number from 0 to 1/],
    ['OTEL_RESOURCE_ATTRIBUTES', 'team', /must be name=value/],
    ['OTEL_RESOURCE_ATTRIBUTES', 'team=%zz', /must be name=value/],
  ])('refuses %s=%s and says what it must be', (name, value, remedy) => {
    const given = () => resolve({ tracing: { endpoint: 'http://c:4318' } }, { [name]: value });
    expect(given).toThrow(remedy);
    expect(given).toThrow(name);
    expect(TRACING_VARIABLES).toHaveProperty(name);
  });

  it.each([
    'collector',
    'collector:4318',
    'http://collector:70000',
    'http://a b:1',
    'http://c:1/?q',
    'ftp://c:1',
  ])('refuses the endpoint %s, which is no URL of HTTP', (endpoint) => {
    expect(() => resolve({ tracing: { endpoint } })).toThrow(/tracing.endpoint/);
    const variables = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint };
    expect(() => resolve({}, variables)).toThrow(/OTEL_EXPORTER_OTLP_TRACES_ENDPOINT/);
  });
});
