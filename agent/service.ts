import { LIMITS } from '../api/limits.ts';
import type { Namespace } from '../api/namespace.ts';
import type {
  ChangeResponse,
  FillRequest,
  FillResponse,
  GetRequest,
  InvalidateRequest,
  PublishRequest,
  PutRequest,
  ReleaseRequest,
  ReleaseResponse,
} from '../proto/gen/edgecache/v1/edgecache.ts';
import type { Answer, PartAnswers } from './cache/answer.ts';
import type { Lookup, Reader } from './cache/reader.ts';
import { encodeToken, minimumOf } from './cache/token.ts';
import { completeEvent, type EventFields } from './change/change-request.ts';
import { type Change, type Changes, conflictOf, type PartResult } from './change/changes.ts';
import type { Confirmations } from './change/confirmations.ts';
import { AgentError } from './errors.ts';
import type { L2 } from './l2/l2.ts';
import { isVersion } from './l2/version.ts';
import { checkKey, checkTags, checkValue, invalid, namespaceOf, ttlOf } from './requests.ts';
import type { Caller } from './security/access-rules.ts';
import { checkSensitive } from './sensitive.ts';
import type { AdaptiveTtl } from './ttl/adaptive-ttl.ts';

export interface ServiceOptions {
  readonly namespaces: () => ReadonlyMap<string, Namespace>;
  readonly nodeId: string;
  readonly reader: Reader;
  readonly changes: Changes;
  readonly confirmations: Confirmations;
  readonly l2: L2;
  readonly ttl: AdaptiveTtl;
  /** Milliseconds since 1970, for the timestamps that people read. */
  readonly wallClock: () => number;
  /** The span that is answered now, where its trace is sampled; without it nothing is traced. */
  readonly traceparent?: (() => string | undefined) | undefined;
}

interface LookUpOptions {
  readonly refuse?: (error: unknown) => Answer;
  readonly wantTags?: boolean;
  readonly refreshBelowMs?: number;
  /** Undefined: everybody may do everything. */
  readonly caller?: Caller | undefined;
}

const STATE = { applied: 1, duplicate: 2, queued: 3 } as const;
const DEFAULT_CONFIRM_MS = 5_000;
const NO_OPTIONS: LookUpOptions = {};

type ConfirmFields = PutRequest['confirm'];

/** What an agent can be asked, apart from how the question arrives. Throws typed errors; transports translate them. */
export class Service {
  readonly #options: ServiceOptions;

  constructor(options: ServiceOptions) {
    this.#options = options;
  }

  /** A value where memory has the answer, so that a hit costs no promise. */
  get(request: GetRequest, caller?: Caller): Answer | Promise<Answer> {
    const lookup = this.#lookup(request, caller === undefined ? NO_OPTIONS : { caller });
    const { reader } = this.#options;
    return reader.fromMemory(lookup) ?? reader.fromL2([lookup]).then(([answer]) => present(answer));
  }

  /** Answers in the order asked. */
  getMany(requests: readonly GetRequest[], options: LookUpOptions = {}): Answer[] | Promise<Answer[]> {
    const { answers, missing, rest } = this.lookUp(requests, options);
    if (rest === undefined) return answers.map(present);
    return rest.then((found) => {
      missing.forEach((place, i) => {
        answers[place] = found[i];
      });
      return answers.map(present);
    });
  }

  /**
   * What memory has, at once, and a promise of the rest.
   * @param options.refuse makes an answer of why a single lookup is refused; without it, one refuses them all.
   */
  lookUp(requests: readonly GetRequest[], options: LookUpOptions = {}): PartAnswers {
    if (requests.length === 0 || requests.length > LIMITS.batchItems) {
      throw invalid(
        'items',
        `${requests.length} items`,
        `must be 1 to ${LIMITS.batchItems}; split the batch`,
      );
    }
    const { reader } = this.#options;
    const answers: (Answer | undefined)[] = new Array(requests.length).fill(undefined);
    const lookups: Lookup[] = [];
    const missing: number[] = [];
    requests.forEach((request, i) => {
      const lookup = this.#lookupOrRefusal(request, options);
      const answer = 'rules' in lookup ? reader.fromMemory(lookup) : lookup;
      answers[i] = answer;
      if (answer !== undefined || !('rules' in lookup)) return;
      lookups.push(lookup);
      missing.push(i);
    });
    return { answers, missing, rest: missing.length === 0 ? undefined : reader.fromL2(lookups) };
  }

  async put(request: PutRequest, caller?: Caller): Promise<ChangeResponse> {
    const { namespace, key, value, tags, ifVersion } = request;
    caller?.check('write', namespace);
    const rules = this.#namespace(namespace);
    checkKey(key);
    checkTags(tags);
    checkValue(rules, value);
    checkSensitive(rules, 'value', value);
    if (ifVersion !== '' && ifVersion !== '0' && !isVersion(ifVersion)) {
      throw invalid(
        'if_version',
        JSON.stringify(ifVersion.slice(0, 60)),
        'must be a version that was read, or "0" for "only if absent"',
      );
    }
    const event = this.#event({ ...eventFields(request.event, namespace, key) });
    const ttlMs = ttlOf(request.ttlMs, () => this.#options.ttl.choose(rules, key, tags));
    const push = rules.pushValueBytes > 0 && value.length <= rules.pushValueBytes;
    const { compressAboveBytes } = rules;
    const put = { namespace, key, value, ttlMs, tags, ifVersion, push, compressAboveBytes };
    const response = await this.#make(
      {
        event,
        put,
        namespaces: [namespace],
        minReplicas: rules.minReplicas,
        confirm: request.confirm?.wait ?? false,
      },
      request.confirm,
      (results) => this.#keepOwn(rules, put, results),
    );
    return response;
  }

  invalidate(request: InvalidateRequest, caller?: Caller): Promise<ChangeResponse> {
    caller?.check('invalidate', request.namespace);
    const rules = this.#namespace(request.namespace);
    const event = this.#event({
      ...NO_EVENT,
      eventId: request.eventId,
      affectedNamespaces: [request.namespace],
      keys: request.keys,
      tags: request.tags,
      reason: request.reason,
    });
    return this.#make(
      {
        event,
        namespaces: [request.namespace],
        minReplicas: rules.minReplicas,
        confirm: request.confirm?.wait ?? false,
      },
      request.confirm,
    );
  }

  publish(request: PublishRequest, caller?: Caller): Promise<ChangeResponse> {
    const given = request.event;
    if (given === undefined || given.eventType === '') {
      throw invalid('event.event_type', 'nothing', 'must name what happened, such as pricing_updated');
    }
    const named =
      given.affectedNamespaces.length > 0 ? given.affectedNamespaces : this.#listeners(given.eventType);
    if (caller !== undefined) for (const name of named) caller.check('invalidate', name);
    const rules = named.map((name) => this.#namespace(name));
    const event = this.#event({ ...NO_EVENT, ...given, affectedNamespaces: named });
    const minReplicas = Math.max(0, ...rules.map((each) => each.minReplicas));
    const confirm = request.confirm?.wait ?? false;
    return this.#make({ event, namespaces: named, minReplicas, confirm }, request.confirm);
  }

  async fill(request: FillRequest, caller?: Caller): Promise<FillResponse> {
    const { namespace, key, tags, absent, leaseToken } = request;
    caller?.check('write', namespace);
    const rules = this.#namespace(namespace);
    checkKey(key);
    checkTags(tags);
    checkValue(rules, request.value);
    checkSensitive(rules, 'value', request.value);
    checkLeaseToken(leaseToken);
    const value = absent ? Buffer.alloc(0) : request.value;
    // That there is nothing is not known to last.
    const usual = () => rules.ttlSeconds * 1000;
    const choose = absent ? usual : () => this.#options.ttl.choose(rules, key, tags);
    const ttlMs = ttlOf(request.ttlMs, choose);
    const { compressAboveBytes } = rules;
    const filled = { namespace, key, value, ttlMs, tags, absent, leaseToken, compressAboveBytes };
    const version = await this.#options.l2.fill(filled);
    if (version === undefined) return { accepted: false, version: '', ttlMs: 0 };
    const { reader, l2 } = this.#options;
    reader.keepOwn(rules, key, l2.partitionOf(namespace, key), { version, value, tags, absent }, ttlMs);
    return { accepted: true, version, ttlMs };
  }

  async release(request: ReleaseRequest, caller?: Caller): Promise<ReleaseResponse> {
    const { namespace, key, leaseToken } = request;
    caller?.check('write', namespace);
    this.#namespace(namespace);
    checkKey(key);
    checkLeaseToken(leaseToken);
    return { released: await this.#options.l2.release(namespace, key, leaseToken) };
  }

  /**
   * Whether these may be followed, for as long as somebody does; none: all that there are.
   * @throws AgentError EC_UNKNOWN_NAMESPACE, EC_PERMISSION_DENIED
   */
  checkNamespaces(names: readonly string[], caller?: Caller): void {
    caller?.checkLasting(() => (names.length > 0 ? names : [...this.#options.namespaces().keys()]));
    for (const name of names) this.#namespace(name);
  }

  #namespace(name: string): Namespace {
    return namespaceOf(this.#options.namespaces(), name);
  }

  #lookup(request: GetRequest, { wantTags = false, refreshBelowMs = 0, caller }: LookUpOptions): Lookup {
    const { key, minToken } = request;
    caller?.check('read', request.namespace);
    // Who may not write could not complete what it would keep others from.
    const wantLease = request.wantLease && (caller === undefined || caller.may('write', request.namespace));
    const rules = this.#namespace(request.namespace);
    checkKey(key);
    if (minToken === '')
      return { rules, key, wantLease, wantTags, refreshBelowMs, minVersion: '', minEvent: '' };
    const { version, event } = minimumOf(minToken, this.#options.l2.partitionOf(request.namespace, key));
    return { rules, key, wantLease, wantTags, refreshBelowMs, minVersion: version, minEvent: event };
  }

  #lookupOrRefusal(request: GetRequest, options: LookUpOptions): Lookup | Answer {
    const { refuse } = options;
    if (refuse === undefined) return this.#lookup(request, options);
    try {
      return this.#lookup(request, options);
    } catch (error) {
      return refuse(error);
    }
  }

  #event(fields: EventFields) {
    const { nodeId, wallClock, traceparent } = this.#options;
    return completeEvent(fields, { nodeId, wallClock, traceparent: traceparent?.() });
  }

  /** Namespaces that list an event type. @throws InvalidInputError where none does: it would change nothing. */
  #listeners(type: string): string[] {
    const names = [...this.#options.namespaces().values()]
      .filter(({ invalidatedBy }) => invalidatedBy.includes(type))
      .map(({ name }) => name);
    if (names.length > 0) return names;
    throw invalid(
      'event.affected_namespaces',
      'nothing',
      `must name namespaces, because none lists '${type.slice(0, 64)}' in invalidatedBy`,
    );
  }

  async #make(
    change: Change,
    confirm: ConfirmFields,
    done: (results: readonly PartResult[]) => void = () => undefined,
  ): Promise<ChangeResponse> {
    this.#checkEventData(change);
    const { changes, confirmations } = this.#options;
    const eventId = change.event.event_id;
    const forget = change.confirm ? confirmations.expect(eventId) : () => undefined;
    try {
      const results = await changes.make(change);
      const conflict = conflictOf(results);
      if (conflict !== undefined) throw conflict;
      done(results);
      const response = toResponse(change, results);
      if (!change.confirm || response.state === STATE.queued) return response;
      const confirmation = await confirmations.wait(
        eventId,
        results,
        confirm?.timeoutMs || DEFAULT_CONFIRM_MS,
      );
      if (confirmation !== undefined) return { ...response, confirmation };
      throw new AgentError(
        'EC_CONFIRM_TIMEOUT',
        `the change ${eventId} was made, but not confirmed in time; it stands`,
      );
    } finally {
      forget();
    }
  }

  /** An event's data stands in the log, plain, whatever becomes of values. */
  #checkEventData({ event }: Change): void {
    for (const name of event.affected_namespaces) {
      const rules = this.#options.namespaces().get(name);
      if (rules?.sensitive !== 'refuse') continue;
      checkSensitive(rules, 'event.data_json', Buffer.from(JSON.stringify(event.data)));
      return;
    }
  }

  #keepOwn(rules: Namespace, put: NonNullable<Change['put']>, results: readonly PartResult[]): void {
    const [result] = results;
    if (result?.outcome !== 'applied') return;
    const { key, value, tags, ttlMs } = put;
    const entry = { version: result.version, value, tags, absent: false };
    this.#options.reader.keepOwn(rules, key, result.part.partition, entry, ttlMs);
  }
}

const NO_EVENT: EventFields = {
  eventId: '',
  eventType: '',
  resourceId: '',
  dataJson: '',
  timestamp: 0,
  sourceNode: '',
  affectedNamespaces: [],
  keys: [],
  tags: [],
  reason: '',
};

/** The event of a put tells of its key alone. @throws InvalidInputError where it names more. */
function eventFields(event: PutRequest['event'], namespace: string, key: string): EventFields {
  const own = { affectedNamespaces: [namespace], keys: [key], tags: [] };
  if (event === undefined) return { ...NO_EVENT, ...own };
  const others =
    event.affectedNamespaces.some((name) => name !== namespace) ||
    event.keys.some((name) => name !== key) ||
    event.tags.length > 0;
  if (!others) return { ...NO_EVENT, ...event, ...own };
  throw invalid(
    'event',
    'other namespaces, keys or tags than the put’s',
    'may name only what the put changes; publish an event of its own for the rest',
  );
}

function toResponse(change: Change, results: readonly PartResult[]): ChangeResponse {
  const versions = new Map(
    results.filter(({ version }) => version !== '').map(({ part, version }) => [part.partition, version]),
  );
  const queued = results.filter(({ outcome }) => outcome === 'queued').map(({ part }) => part.partition);
  const [first] = results;
  return {
    state: stateOf(results),
    eventId: change.event.event_id,
    token: encodeToken(versions, queued, change.event.event_id),
    version: change.put === undefined ? '' : (first?.version ?? ''),
    confirmation: undefined,
  };
}

function stateOf(results: readonly PartResult[]): ChangeResponse['state'] {
  if (results.some(({ outcome }) => outcome === 'queued')) return STATE.queued;
  return results.every(({ outcome }) => outcome === 'duplicate') ? STATE.duplicate : STATE.applied;
}

function present(answer: Answer | undefined): Answer {
  if (answer === undefined) throw new Error('an answer is missing');
  return answer;
}

function checkLeaseToken(leaseToken: string): void {
  if (/^[\w-]{1,128}$/.test(leaseToken)) return;
  throw invalid(
    'lease_token',
    JSON.stringify(leaseToken.slice(0, 60)),
    'must be the token that a miss with want_lease gave',
  );
}
