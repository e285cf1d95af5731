import { z } from 'zod';

/** The page that each agent serves for people. */
export const uiSchema = z.strictObject({
  enabled: z
    .boolean()
    .default(true)
    .describe('Whether agents serve a page for people at /ui of their HTTP port.'),
  hosts: z
    .array(
      z
        .string()
        .min(1)
        .max(253)
        .regex(
          /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/,
          'must be a host name in lower case, such as cache.example.com',
        ),
    )
    .max(16)
    .default([])
    .describe(
      'Host names, beside addresses, localhost and names in the cluster, by which the page may be opened: those of an Ingress or a proxy.',
    ),
});
