import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Names that `npm run kind:up` and the end-to-end tests share. Versions stand in hack/kind/versions.env. */

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const CHART = join(ROOT, 'charts/edgecache');
export const EXAMPLES = join(ROOT, 'examples');

export const CLUSTER_NAME = 'edgecache';
export const RELEASE = 'edgecache';
export const OPERATOR_NAMESPACE = 'edgecache-system';
/** Where the Redis Cluster and the example tiers are. */
export const EXAMPLE_NAMESPACE = 'default';
export const REDIS_SERVICE = 'redis-cluster';

const env = process.env;
const CACHE_DIR =
  env['EDGECACHE_CACHE_DIR'] ?? join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'edgecache');

/** kubectl, helm and kind of the pinned versions, as hack/kind links them. */
export const TOOLS_DIR = join(CACHE_DIR, 'bin');

export const kubeConfigOf = (clusterName: string): string =>
  join(CACHE_DIR, 'clusters', clusterName, 'kubeconfig');
