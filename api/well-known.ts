/** What operator, agents and those who look for them must name alike. */

/** Label of all that belongs to a tier; its value is the tier's name. */
export const TIER_LABEL = 'edgecache.dev/tier';
export const GRPC_PORT = 7480;
export const HTTP_PORT = 7481;
