import { pino } from 'pino';
import { InvalidInputError } from '../api/errors.ts';
import { readOperatorConfig } from './config/operator-config.ts';
import { KubeConfigCredentials } from './kube/credentials.ts';
import { runOperator } from './operator.ts';
import { VERSION } from './version.ts';

/** A pod is killed 30 s after it was asked to end; leave a little to say what did not end. */
const STOP_LIMIT_MS = 25_000;

async function main(): Promise<number> {
  const config = readOperatorConfig(process.env);
  const logger = pino({ level: config.logLevel, base: { pod: config.podName } });
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.once(name, () => {
      logger.info({ signal: name }, 'stopping');
      stop.abort();
      setTimeout(() => {
        logger.error('did not stop in time');
        process.exit(1);
      }, STOP_LIMIT_MS).unref();
    });
  }
  logger.info(
    { version: VERSION, agentImage: config.agentImage, watchNamespace: config.watchNamespace },
    'starting',
  );
  try {
    await runOperator({ config, credentials: KubeConfigCredentials.fromDefault(), logger }, stop.signal);
    return 0;
  } catch (error) {
    logger.fatal({ err: error }, 'ended by an error');
    return 1;
  }
}

try {
  // Ends at once: after a lost lease another replica leads, and nothing here may go on.
  process.exit(await main());
} catch (error) {
  console.error(error instanceof InvalidInputError ? error.message : error);
  process.exit(2);
}
