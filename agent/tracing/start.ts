import type { Logger } from 'pino';
import type { AgentConfig } from '../../api/agent-config.ts';
import type { AgentTracing } from './agent-tracing.ts';

/**
 * What traces, where the configuration wants traces. OpenTelemetry's packages take some 20 MB of memory, so they are
 * loaded here and nowhere else: an agent without traces has nothing of them.
 */
export async function startTracing(config: AgentConfig, log: Logger): Promise<AgentTracing | undefined> {
  if (config.tracing === undefined) return undefined;
  const { buildTracing } = await import('./build.ts');
  return buildTracing(config.tracing, config, log);
}
