import { judgeKey, type Verdict, type VerdictKind, worstOf } from '../../api/verdict.ts';
import type { ExplainResponse } from '../../client/edge-cache-client.ts';
import { EdgeCacheError } from '../../client/errors.ts';
import type { AgentAddress, Agents } from '../agents.ts';

export interface TracedAgent {
  readonly name: string;
  readonly said: ExplainResponse;
  readonly verdict: Verdict;
}

/** The agents of one cache, with one Redis between them. */
export interface TracedCache {
  readonly agents: readonly TracedAgent[];
  /** What the one said that was asked for the log; undefined where Redis does not answer. */
  readonly detail: ExplainResponse | undefined;
  /** Agents that may hold entries of the partition, and were not asked. */
  readonly unasked: readonly string[];
  readonly verdict: VerdictKind;
}

export interface Trace {
  readonly caches: readonly TracedCache[];
  readonly failed: readonly { readonly name: string; readonly error: Error }[];
}

export interface TraceOptions {
  readonly namespace: string;
  readonly key: string;
  /** How far back to look in the partition's log. */
  readonly logEvents: number;
}

interface Said {
  readonly agent: AgentAddress;
  readonly said: ExplainResponse;
}

/** Asks all agents what they hold of a key; then one of each cache what happened to it. */
export async function collectTrace(agents: Agents, options: TraceOptions): Promise<Trace> {
  const { namespace, key } = options;
  const asked = await agents.each(async (client, agent) => ({
    agent,
    said: await client.explain(namespace, key),
  }));
  const failed = asked.flatMap(({ name, error }) => (error === undefined ? [] : [{ name, error }]));
  const said = asked.flatMap(({ value }) => value ?? []);
  const cut = said.filter((one) => one.said.redis === undefined);
  const caches: TracedCache[] = [];
  let rest = said.filter((one) => one.said.redis !== undefined);
  for (let [first] = rest; first !== undefined; [first] = rest) {
    const detail = await askInDetail(agents, first, rest, options);
    // Who is registered with the partition in the same Redis belongs to the same cache; two tiers need not share one.
    const ids = new Set(detail?.redis?.agentIds ?? []);
    const members = rest.filter((one) => one === first || ids.has(one.said.agentId));
    rest = rest.filter((one) => !members.includes(one));
    caches.push(toCache(members, detail));
  }
  if (cut.length > 0) caches.push(toCache(cut, undefined));
  return { caches, failed };
}

/** @returns undefined where the agent does not answer any more */
async function askInDetail(
  agents: Agents,
  { agent }: Said,
  all: readonly Said[],
  { namespace, key, logEvents }: TraceOptions,
): Promise<ExplainResponse | undefined> {
  // Whoever still knows the entry's tags tells them to the one that reads the log.
  const known = all.flatMap(({ said }) => [
    ...(said.memory?.tags ?? []),
    ...(said.redis?.stored?.tags ?? []),
  ]);
  const tags = [...new Set(known)].slice(0, 32);
  try {
    return await agents.one(agent, (client) =>
      client.explain(namespace, key, { logEvents, tags, wantAgents: true }),
    );
  } catch (error) {
    if (error instanceof EdgeCacheError) return undefined;
    throw error;
  }
}

function toCache(members: readonly Said[], detail: ExplainResponse | undefined): TracedCache {
  const events = detail?.log?.events ?? [];
  const traced = members.map(({ agent, said }) => ({
    name: agent.name,
    said,
    verdict: judgeKey(said, events),
  }));
  const askedIds = new Set(members.map(({ said }) => said.agentId));
  const unasked = (detail?.redis?.agentIds ?? []).filter((id) => !askedIds.has(id));
  return { agents: traced, detail, unasked, verdict: worstOf(traced.map(({ verdict }) => verdict.kind)) };
}
