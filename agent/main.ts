import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { AGENT_ENVIRONMENT, type AgentConfig, resolveAgentConfig } from '../api/agent-config.ts';
import { Agent } from './agent.ts';
import { AgentError, type AgentErrorCode, messageOf } from './errors.ts';
import { readKeys } from './l2/encryption-keys.ts';
import { type ConfigFile, readConfigFile } from './reload.ts';
import { startTracing } from './tracing/start.ts';

const HELP = `Usage: npm run agent -- [--config FILE]

Starts a cache agent: an in-memory L1 over the shared Redis L2, served over gRPC.

  --config FILE   configuration as JSON or YAML; environment variables override it
  --help          this text

Environment: ${AGENT_ENVIRONMENT.join(', ')}
Exit codes: 0 stopped, 1 failed, 2 wrong configuration or arguments
`;

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
/** What no restart mends. */
const WRONG_CONFIGURATION: ReadonlySet<AgentErrorCode> = new Set([
  'EC_PARTITIONS_MISMATCH',
  'EC_SECURITY_FILE',
]);

process.exitCode = await main();

async function main(): Promise<number> {
  let loaded: Loaded;
  try {
    const { values } = parseArgs({ options: { config: { type: 'string' }, help: { type: 'boolean' } } });
    if (values.help) {
      process.stdout.write(HELP);
      return 0;
    }
    loaded = load(values.config);
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    return EXIT_USAGE;
  }
  return run(loaded);
}

interface Loaded {
  readonly config: AgentConfig;
  readonly file: ConfigFile | undefined;
}

function load(path: string | undefined): Loaded {
  const file = path === undefined ? undefined : readConfigFile(path);
  const config = resolveAgentConfig(file?.content ?? {}, process.env, path);
  // Refused now, before anything is begun.
  if (config.encryption.keyFile !== undefined) readKeys(config.encryption.keyFile, config.cacheId);
  return { config, file };
}

async function run({ config, file }: Loaded): Promise<number> {
  const log = pino({ level: config.logLevel, base: { node: config.nodeId } });
  const agent = new Agent(config, {
    log,
    file,
    variables: process.env,
    now: () => performance.now(),
    wallClock: () => performance.timeOrigin + performance.now(),
    random: Math.random,
    tracing: await startTracing(config, log),
  });
  const stopped = new Promise<'stop'>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve('stop'));
  });
  try {
    const ports = await agent.start();
    log.info(
      { ...ports, agentId: agent.id, region: config.region, tier: config.tier, cacheId: config.cacheId },
      'agent listening',
    );
    const end = await Promise.race([stopped, agent.fatal]);
    log.info('agent stopping');
    await agent.stop();
    if (end instanceof AgentError) throw end;
    log.info('agent stopped');
    return 0;
  } catch (error) {
    log.fatal(
      { code: error instanceof AgentError ? error.code : undefined, error: messageOf(error) },
      'agent failed',
    );
    await agent.stop().catch(() => undefined);
    return error instanceof AgentError && WRONG_CONFIGURATION.has(error.code) ? EXIT_USAGE : EXIT_FAILED;
  }
}
