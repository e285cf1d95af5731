import { z } from 'zod';

const OCTET = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])';
const IPV4 = String.raw`(${OCTET}\.){3}${OCTET}`;
const HEX = '[0-9a-fA-F]{1,4}';
/** RFC 4291 without the mixed notation of IPv4 within IPv6, which Kubernetes warns of. */
const IPV6 = [
  `(${HEX}:){7}${HEX}`,
  `(${HEX}:){1,7}:`,
  ...[1, 2, 3, 4, 5, 6].map((after) => `(${HEX}:){1,${7 - after}}(:${HEX}){${after}}`),
  `:(:${HEX}){1,7}`,
  '::',
].join('|');

/**
 * A range of addresses, IPv4 or IPv6. A pattern, though a library knows it better: so the same rule stands in the CRD,
 * on clusters whose CEL does not know `isCIDR` yet (before Kubernetes 1.31).
 */
export const cidr = z
  .string()
  .max(43)
  .regex(
    new RegExp(`^(${IPV4}/(3[0-2]|[12]?[0-9])|(${IPV6})/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))$`),
    'must be a range of addresses, such as 10.20.0.0/16 or 2001:db8::/32',
  );
