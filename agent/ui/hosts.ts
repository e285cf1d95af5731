import { isIP } from 'node:net';

/**
 * Whether a page at this name may read the data. A page of somebody else’s name may not, even where that name leads here: else any
 * page that is open in an operator’s browser could read through a port-forward, by a name that it lets point to 127.0.0.1 (DNS rebinding).
 * @param given the Host header
 * @param allowed further names, from the configuration
 */
export function isTrustedHost(given: string | undefined, allowed: readonly string[]): boolean {
  // HTTP/1.0: no browser.
  if (given === undefined) return true;
  const host = URL.parse(`http://${given}`)?.hostname;
  if (host === undefined || host === '') return false;
  if (isIP(host.replace(/^\[|\]$/g, '')) !== 0) return true;
  // A name without a dot, or below one of these, is nobody’s to register.
  return !host.includes('.') || /\.(localhost|svc|local|internal)$/.test(host) || allowed.includes(host);
}
