import { bytes } from '../../client/codec.ts';
import { CliError, type Command, type Context, EXIT, type Options, usageError } from '../command.ts';
import { AGENT_OPTIONS, durationOf } from '../find-agents.ts';
import { duration } from '../screen.ts';

const CONFIRM: Options = {
  confirm: { type: 'boolean', help: 'return when no agent can answer with what was there before' },
};

/** The two words that name an entry. */
function entryOf({ given }: Context): { readonly namespace: string; readonly key: string } {
  const [namespace = '', key = ''] = given.positionals;
  return { namespace, key };
}

export const get: Command = {
  name: 'get',
  usage: 'NAMESPACE KEY',
  summary: 'read one entry',
  details:
    'Prints the value as it is stored; what is known about it goes to the standard error. Exit code 4: there is no entry. 5: the agent cannot tell (Redis is out of its reach).',
  words: [2, 2],
  options: {
    ...AGENT_OPTIONS,
    token: { type: 'string', value: 'TOKEN', help: 'see at least the change that gave this token' },
  },
  examples: [
    'edgecache get gpu_avail gpu/gpu_42',
    'edgecache get gpu_pricing us-east/H100 --json | jq .value',
  ],
  run: async (context) => {
    const { namespace, key } = entryOf(context);
    const token = context.given.text('token');
    const agents = await context.agents();
    const found = await agents
      .any()
      .get(namespace, key, { codec: bytes, ...(token === undefined ? {} : { token }) });
    const { screen } = context;
    if (screen.json)
      screen.printJson(found.status === 'hit' ? { ...found, value: asJson(found.value) } : found);
    switch (found.status) {
      case 'hit':
        if (screen.json) return EXIT.ok;
        screen.write(found.value);
        if (screen.isTerminal) screen.print();
        screen.note(
          `version ${found.version}, ${duration(found.ttlMs)} left, from ${found.source} of ${found.node}${found.stale ? ', stale' : ''}`,
        );
        return EXIT.ok;
      case 'absent':
        screen.note(`known to be absent, version ${found.version}, ${duration(found.ttlMs)} left`);
        return EXIT.ok;
      case 'miss':
        screen.note(`no entry ${key} in ${namespace}`);
        return EXIT.miss;
      case 'degraded':
        screen.note(`${found.node} cannot tell: Redis is out of its reach`);
        return EXIT.degraded;
    }
  },
};

export const put: Command = {
  name: 'put',
  usage: 'NAMESPACE KEY VALUE|-',
  summary: 'write one entry, on every node',
  details: 'The value is JSON; "-" reads it from the standard input.',
  words: [3, 3],
  options: {
    ...AGENT_OPTIONS,
    ...CONFIRM,
    ttl: { type: 'string', value: 'DURATION', help: 'life of the entry (default: the namespace’s)' },
    tag: { type: 'string', multiple: true, value: 'TAG', help: 'label to invalidate it by; may be repeated' },
    'if-version': {
      type: 'string',
      value: 'VERSION',
      help: 'only if this version stands; 0: only if there is none',
    },
    raw: { type: 'boolean', help: 'write the bytes as they are, JSON or not' },
  },
  examples: [
    `edgecache put gpu_avail gpu/gpu_42 '{"status":"free"}' --tag gpu:gpu_42 --confirm`,
    'edgecache put historical report/2026 - --ttl 1h <report.json',
  ],
  run: async (context) => {
    const { given, screen } = context;
    const { namespace, key } = entryOf(context);
    const [, , text = ''] = given.positionals;
    const value = text === '-' ? await context.stdin() : Buffer.from(text);
    if (!given.flag('raw')) checkJson(value);
    const ttlMs = durationOf(given, 'ttl');
    const ifVersion = given.text('if-version');
    const agents = await context.agents();
    const changed = await agents.any().put(namespace, key, value, {
      codec: bytes,
      tags: given.list('tag'),
      confirm: confirmOf(context, agents.timeoutMs),
      ...(ttlMs === undefined ? {} : { ttlMs }),
      ...(ifVersion === undefined ? {} : { ifVersion }),
    });
    if (screen.json) screen.printJson(changed);
    else sayChanged(context, changed);
    return EXIT.ok;
  },
};

export const invalidate: Command = {
  name: 'invalidate',
  usage: 'NAMESPACE',
  summary: 'drop entries from every node: keys, tags, or a whole namespace',
  words: [1, 1],
  options: {
    ...AGENT_OPTIONS,
    ...CONFIRM,
    key: { type: 'string', multiple: true, short: 'k', value: 'KEY', help: 'may be repeated' },
    tag: { type: 'string', multiple: true, value: 'TAG', help: 'every entry with this tag; may be repeated' },
    all: { type: 'boolean', help: 'the whole namespace' },
    reason: { type: 'string', value: 'TEXT', help: 'stands in the event, for those who look for it later' },
  },
  examples: [
    'edgecache invalidate gpu_avail --key gpu/gpu_42 --confirm',
    'edgecache invalidate gpu_pricing --tag region:us-east --reason "price list of May"',
    'edgecache invalidate market_stats --all',
  ],
  run: async (context) => {
    const { given, screen } = context;
    const [namespace = ''] = given.positionals;
    const [keys, tags] = [given.list('key'), given.list('tag')];
    const isNarrow = keys.length > 0 || tags.length > 0;
    if (isNarrow === given.flag('all'))
      throw usageError(
        'invalidate needs --key or --tag; or --all, and then neither, for the whole namespace',
      );
    const reason = given.text('reason');
    const agents = await context.agents();
    const changed = await agents
      .any()
      .invalidate(
        namespace,
        { keys, tags, ...(reason === undefined ? {} : { reason }) },
        { confirm: confirmOf(context, agents.timeoutMs) },
      );
    if (screen.json) screen.printJson(changed);
    else sayChanged(context, changed);
    return EXIT.ok;
  },
};

export const publish: Command = {
  name: 'publish',
  usage: 'EVENT_TYPE',
  summary: 'tell what happened; the namespaces that it concerns are invalidated',
  details:
    'Without --in, those namespaces that list the type in invalidatedBy. Without keys and tags, they are dropped whole.',
  words: [1, 1],
  options: {
    ...AGENT_OPTIONS,
    ...CONFIRM,
    in: {
      type: 'string',
      multiple: true,
      value: 'NAMESPACE',
      help: 'namespace that it concerns; may be repeated',
    },
    key: { type: 'string', multiple: true, short: 'k', value: 'KEY', help: 'may be repeated' },
    tag: { type: 'string', multiple: true, value: 'TAG', help: 'may be repeated' },
    resource: { type: 'string', value: 'ID', help: 'what it happened to' },
    data: { type: 'string', value: 'JSON', help: 'an object that goes with the event' },
  },
  examples: ['edgecache publish booking_created --resource gpu_42 --tag gpu:gpu_42 --confirm'],
  run: async (context) => {
    const { given, screen } = context;
    const [type = ''] = given.positionals;
    const [namespaces, resourceId, data] = [
      given.list('in'),
      given.text('resource'),
      dataOf(given.text('data')),
    ];
    const agents = await context.agents();
    const changed = await agents.any().publish(
      {
        type,
        keys: given.list('key'),
        tags: given.list('tag'),
        ...(namespaces.length === 0 ? {} : { namespaces }),
        ...(resourceId === undefined ? {} : { resourceId }),
        ...(data === undefined ? {} : { data }),
      },
      { confirm: confirmOf(context, agents.timeoutMs) },
    );
    if (screen.json) screen.printJson(changed);
    else sayChanged(context, changed);
    return EXIT.ok;
  },
};

function confirmOf({ given }: Context, timeoutMs: number): number | false {
  return given.flag('confirm') ? timeoutMs : false;
}

function sayChanged(
  { screen }: Context,
  changed: {
    readonly state: string;
    readonly eventId: string;
    readonly version: string;
    readonly token: string;
    readonly confirmation?: {
      readonly agentsLive: number;
      readonly agentsApplied: number;
      readonly agentsFenced: number;
      readonly elapsedMs: number;
    };
  },
): void {
  const { state, eventId, version, token, confirmation } = changed;
  screen.print(`${state}${version === '' ? '' : ` version ${version}`}, event ${eventId}, token ${token}`);
  if (state === 'queued')
    screen.note('Redis is out of the agent’s reach: it will be sent once, when it is back');
  if (confirmation === undefined) return;
  const { agentsLive, agentsApplied, agentsFenced, elapsedMs } = confirmation;
  screen.print(
    `confirmed in ${elapsedMs} ms: ${agentsApplied} of ${agentsLive} agents have applied it, ${agentsFenced} can no longer answer from memory`,
  );
}

function checkJson(value: Buffer): void {
  try {
    JSON.parse(value.toString());
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    throw new CliError(
      `the value is no JSON (${said}); quote strings, as in '"free"', or say --raw`,
      EXIT.usage,
    );
  }
}

function dataOf(text: string | undefined): Record<string, unknown> | undefined {
  if (text === undefined) return undefined;
  try {
    const data: unknown = JSON.parse(text);
    if (typeof data === 'object' && data !== null && !Array.isArray(data)) return { ...data };
  } catch {
    // Said below.
  }
  throw usageError(`--data: ${JSON.stringify(text.slice(0, 60))} must be a JSON object, such as {"price":2}`);
}

/** What is stored, as JSON where it is some. */
function asJson(value: Buffer): unknown {
  try {
    return JSON.parse(value.toString());
  } catch {
    return { base64: value.toString('base64') };
  }
}
