import { parseArgs } from 'node:util';
import { run } from './cluster/commands.ts';
import { CLUSTER_NAME } from './cluster/settings.ts';

const HELP = `Usage: npm run kind:down -- [--name NAME] [--all]

Removes the cluster of npm run kind:up, and the dockerd that kind:up started if it has no other containers. What was
built stays in the cache.

  --name NAME   of the cluster (${CLUSTER_NAME})
  --all         every cluster that kind:up and the tests made
  --help        this text
`;

const { values } = parseArgs({
  options: {
    name: { type: 'string', default: CLUSTER_NAME },
    all: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) process.stdout.write(HELP);
else await run('hack/kind/down.sh', [values.name, ...(values.all ? ['--all'] : [])], { isTalkative: true });
