import { expect, it } from 'vitest';
import { isTrustedHost } from './hosts.ts';

it.each([
  undefined,
  '127.0.0.1:7481',
  '[::1]:7481',
  '10.2.0.4:7481',
  'localhost:8080',
  'node-a',
  'edge-us-east-agents:7481',
  'edge.edgecache.svc:7481',
  'edge.edgecache.svc.cluster.local',
])('the page may be opened at %s', (host) => {
  expect(isTrustedHost(host, [])).toBe(true);
});

it.each([
  'evil.example.com',
  'evil.example.com:7481',
  'localhost.example.com',
  '',
  'a b',
  '127.0.0.1.nip.io',
])('a name that somebody could have registered is refused: %s', (host) => {
  expect(isTrustedHost(host, [])).toBe(false);
});

it('names of a proxy are allowed by the configuration, and no others with them', () => {
  expect(isTrustedHost('cache.example.com:443', ['cache.example.com'])).toBe(true);
  expect(isTrustedHost('other.example.com', ['cache.example.com'])).toBe(false);
});
