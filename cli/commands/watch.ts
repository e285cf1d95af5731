import { Client, type ServiceError, status } from '@grpc/grpc-js';
import { Access, NO_METADATA } from '../../client/access.ts';
import { AgentUnavailableError } from '../../client/errors.ts';
import { EdgeCacheService, type WatchResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { CliError, type Command, type Context, EXIT } from '../command.ts';
import { AGENT_OPTIONS } from '../find-agents.ts';

export const watch: Command = {
  name: 'watch',
  usage: '[NAMESPACE...]',
  summary: 'invalidations as an agent applies them, live',
  details: 'Of one agent: all of a cache apply the same. Ends with Ctrl-C.',
  words: [0, 64],
  options: AGENT_OPTIONS,
  examples: ['edgecache watch', 'edgecache watch gpu_avail --json | jq .keys'],
  run: async (context) => {
    const agents = await context.agents();
    const [agent] = agents.addresses;
    if (agent === undefined) throw new CliError('there is no agent to watch');
    context.screen.note(`watching ${agent.name}`);
    const access = new Access(agents.access, context.now);
    try {
      await follow(context, agent.address, access);
    } finally {
      access.close();
    }
    return EXIT.ok;
  },
};

/** Until the signal. @throws CliError where the stream breaks. */
function follow({ screen, given, signal }: Context, address: string, access: Access): Promise<void> {
  const { path, requestSerialize, responseDeserialize } = EdgeCacheService.watch;
  const client = new Client(address, access.credentialsOf(address), access.channelOptionsOf(address));
  const request = { namespaces: [...given.positionals], clientId: 'edgecache-cli', leaseMs: 0 };
  const stream = client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    request,
    access.with(NO_METADATA),
  );
  return new Promise<void>((resolve, reject) => {
    signal.addEventListener('abort', () => stream.cancel());
    stream.on('data', (response: WatchResponse) => {
      const said = response.kind === undefined ? undefined : toLine(response.kind);
      if (said === undefined) return;
      if (screen.json) screen.printJson({ at: new Date().toISOString(), ...said.json });
      else screen.print(`${new Date().toISOString().slice(11, 23)}  ${said.text}`);
    });
    stream.on('error', (error: ServiceError) => {
      if (signal.aborted || error.code === status.CANCELLED) resolve();
      else reject(failureOf(error, address));
    });
    stream.on('end', () => {
      if (signal.aborted) resolve();
      else reject(new CliError(`${address} ended the stream: the agent drains`));
    });
  }).finally(() => client.close());
}

/** What an agent said, or that there is none: the transport's own words are about sockets. */
function failureOf(error: ServiceError, address: string): Error {
  const isAgents = error.metadata.get('edgecache-code').length > 0;
  return error.code === status.UNAVAILABLE && !isAgents
    ? new AgentUnavailableError(`no agent answers (${address})`, { cause: error })
    : new CliError(`${address}: ${error.details || error.message}`, undefined, { cause: error });
}

function toLine(
  kind: NonNullable<WatchResponse['kind']>,
): { readonly text: string; readonly json: object } | undefined {
  if (kind.$case === 'reset') {
    const { reason } = kind.value;
    return { text: `reset: ${reason}; near caches drop what they hold`, json: { reset: reason } };
  }
  if (kind.$case !== 'invalidation') return undefined;
  const { namespace, keys, tags, version, eventId } = kind.value;
  const names = [
    ...keys.map((key) => `key ${key}`),
    ...tags.map((tag) => `tag ${tag}`),
    ...(keys.length + tags.length === 0 ? ['everything'] : []),
  ];
  return {
    text: `${namespace}  ${names.join(', ')}  version ${version || 'pending'}  event ${eventId}`,
    json: { namespace, keys, tags, version, eventId },
  };
}
