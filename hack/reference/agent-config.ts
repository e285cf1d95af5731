import { z } from 'zod';
import { AGENT_ENVIRONMENT, AGENT_ENVIRONMENT_FIELDS, agentConfigSchema } from '../../api/agent-config.ts';
import { TRACING_VARIABLES } from '../../api/tracing.ts';
import type { SchemaNode } from '../crd/structural-schema.ts';
import { code, type Page, table } from './markdown.ts';
import { fieldTable } from './schema-rows.ts';

/** Variables that set no single field. */
const OTHERS: Readonly<Record<string, string>> = {
  REDIS_HOST: 'with `REDIS_PORT` the only one of `redis.nodes`; not together with `REDIS_NODES`',
  REDIS_PORT: 'see `REDIS_HOST`; default 6379',
  REDIS_USERNAME: '`redis.username`',
  REDIS_PASSWORD: 'password of Redis; only in the environment',
  REDIS_SENTINEL_USERNAME: 'user of the sentinels, where they have users; only in the environment',
  REDIS_SENTINEL_PASSWORD: 'password of the sentinels, where they ask for one; only in the environment',
  CACHE_AUTH_TOKEN:
    'tokens that callers may show, `token` or `name=token` with commas between them; only in the environment',
  ...TRACING_VARIABLES,
};

/** What an agent is configured by. */
export function agentConfigPage(): Page {
  const schema = z.toJSONSchema(agentConfigSchema, { target: 'openapi-3.0', io: 'input' });
  const rows = AGENT_ENVIRONMENT.map((name) => {
    const field = AGENT_ENVIRONMENT_FIELDS[name];
    return [code(name), field === undefined ? (OTHERS[name] ?? 'see `--help`') : code(field)];
  });
  const body = [
    'An agent starts by a file (`--config`, JSON or YAML) and its environment, which goes before the file. In a cluster the operator writes the file from the tier. ' +
      'What is wrong stops the start (exit code 2); each wrong field is named, with what was given and what is allowed.',
    '## File',
    fieldTable(schema as SchemaNode),
    '## Environment',
    'An unknown variable that begins with `CACHE_` is refused.',
    table(['variable', 'sets'], rows),
  ];
  return {
    name: 'agent-config',
    title: 'Configuration of an agent',
    summary: 'file and environment variables',
    source: 'api/agent-config.ts',
    body: body.join('\n\n'),
  };
}
