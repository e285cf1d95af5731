import { z } from 'zod';
import { LIMITS } from './limits.ts';
import { byteQuantity, quantityToBytes } from './quantity.ts';

/** Event types that the product knows by name. The set is open: namespaces may list others. */
export const EVENT_TYPES = [
  'gpu_availability_changed',
  'pricing_updated',
  'booking_created',
  'booking_cancelled',
  'provider_status_changed',
  'market_stats_updated',
  'order_book_updated',
  'manual_invalidation',
] as const;

export const namespaceName = z
  .string()
  .min(1)
  .max(63)
  .regex(/^[a-z][a-z0-9_-]*$/, 'must start with a letter and have only a-z, 0-9, "_" and "-"');

export const eventType = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[a-z][a-z0-9_]*$/, 'must be lower snake case, such as pricing_updated');

/** Of a namespace that does not say. */
export const DEFAULT_MAX_VALUE_BYTES = 1024 ** 2;
const DAY_SECONDS = 86_400;
/** Every agent gets every event: larger values would cost more on the way than a read of those that need them. */
const MAX_PUSH_BYTES = LIMITS.pushValueBytes;

function wholeNumber(min: number, max: number, unit: string) {
  const text = `must be a whole number of ${unit} from ${min} to ${max}`;
  return z.number(text).int(text).min(min, text).max(max, text);
}

/** One namespace as a person writes it in a tier. What is left out comes from {@link resolveNamespace}. */
export const namespaceSchema = z.strictObject({
  name: namespaceName.describe('Name of the namespace: a kind of data with its own rules.'),
  ttlSeconds: wholeNumber(1, 30 * DAY_SECONDS, 'seconds')
    .optional()
    .describe('How long an entry lives in Redis (L2). Default 60, or the well-known value of the name.'),
  l1TtlSeconds: wholeNumber(1, DAY_SECONDS, 'seconds')
    .optional()
    .describe(
      'How long an agent keeps an entry in memory (L1); at most ttlSeconds. Default: the tier’s l1.ttlSeconds.',
    ),
  eventDriven: z
    .boolean()
    .optional()
    .describe('Whether published events of the types in invalidatedBy invalidate it.'),
  critical: z
    .boolean()
    .optional()
    .describe('Whether agents may answer from memory only with proof that they have missed no change.'),
  memoryLimit: byteQuantity
    .optional()
    .describe('Most memory that its entries may take in one agent, for example 100M. Default 100M.'),
  l2MemoryLimit: byteQuantity
    .optional()
    .describe(
      'Most memory that its entries may take in Redis (L2), for example 2G; each partition gets an equal share. Default: no limit.',
    ),
  maxValueBytes: wholeNumber(1, LIMITS.valueBytes, 'bytes')
    .optional()
    .describe('Largest value accepted. Default 1048576.'),
  pushValueBytes: wholeNumber(0, MAX_PUSH_BYTES, 'bytes')
    .optional()
    .describe(
      'Values up to this size travel with the event of their change, so that agents which hold the key replace it instead of dropping it. Default 0: none do.',
    ),
  compressAboveBytes: wholeNumber(0, LIMITS.valueBytes, 'bytes')
    .optional()
    .describe(
      'Values above this size are compressed in Redis (zstd) where that saves a tenth or more; agents and clients have them plain. Default 0: none are.',
    ),
  encrypt: z
    .boolean()
    .optional()
    .describe(
      'Whether its values are encrypted in Redis and in queued changes on disk (AES-256-GCM, keys of encryption.keyFile); agents’ memory and clients have them plain. Keys, tags and events are not. Not together with pushValueBytes. Default false.',
    ),
  sensitive: z
    .enum(['allow', 'refuse'], 'must be allow or refuse')
    .optional()
    .describe(
      'Whether values and data of events that look like secrets (private keys, keys of clouds and services, passwords, tokens) are refused. Default allow.',
    ),
  adaptiveTtl: z
    .strictObject({
      minSeconds: wholeNumber(1, 30 * DAY_SECONDS, 'seconds').describe(
        'Shortest life in Redis that may be chosen; at most ttlSeconds.',
      ),
      maxSeconds: wholeNumber(1, 30 * DAY_SECONDS, 'seconds').describe(
        'Longest life in Redis that may be chosen; at least ttlSeconds.',
      ),
    })
    .optional()
    .describe(
      'Lets agents choose how long an entry lives, where its writer does not say: longer for keys that are read often and change rarely, shorter for those that change faster than ttlSeconds. Default: off.',
    ),
  staleIfErrorSeconds: wholeNumber(0, DAY_SECONDS, 'seconds')
    .optional()
    .describe(
      'How long past its TTL an entry may be served, marked stale, while Redis is out of reach. Not for critical ones. Default 300.',
    ),
  minReplicas: wholeNumber(0, 5, 'replicas')
    .optional()
    .describe('Replicas that must acknowledge a change before it is answered (Redis WAIT). Default 0.'),
  invalidatedBy: z
    .array(eventType)
    .max(32)
    .optional()
    .describe('Event types that invalidate this namespace when an event names no namespaces itself.'),
});

export type NamespaceSpec = z.infer<typeof namespaceSchema>;

/** A namespace with every default filled in. */
export interface Namespace {
  readonly name: string;
  readonly ttlSeconds: number;
  readonly l1TtlSeconds: number;
  readonly eventDriven: boolean;
  readonly critical: boolean;
  readonly memoryLimitBytes: number;
  /** In Redis; 0: no limit. */
  readonly l2MemoryLimitBytes: number;
  readonly maxValueBytes: number;
  readonly pushValueBytes: number;
  readonly compressAboveBytes: number;
  readonly encrypt: boolean;
  readonly sensitive: 'allow' | 'refuse';
  /** Undefined: every entry lives for ttlSeconds. */
  readonly adaptiveTtl: { readonly minSeconds: number; readonly maxSeconds: number } | undefined;
  readonly staleIfErrorSeconds: number;
  readonly minReplicas: number;
  readonly invalidatedBy: readonly string[];
}

type WellKnown = Pick<
  NamespaceSpec,
  'ttlSeconds' | 'eventDriven' | 'critical' | 'memoryLimit' | 'invalidatedBy'
>;

const BOOKINGS = ['booking_created', 'booking_cancelled'];

const WELL_KNOWN: Readonly<Record<string, WellKnown>> = {
  gpu_avail: {
    ttlSeconds: 30,
    eventDriven: true,
    critical: true,
    memoryLimit: '100M',
    invalidatedBy: ['gpu_availability_changed', ...BOOKINGS],
  },
  gpu_pricing: {
    ttlSeconds: 60,
    eventDriven: true,
    critical: true,
    memoryLimit: '50M',
    invalidatedBy: ['pricing_updated', ...BOOKINGS],
  },
  order_book: {
    ttlSeconds: 5,
    eventDriven: true,
    critical: true,
    memoryLimit: '200M',
    invalidatedBy: ['order_book_updated', ...BOOKINGS],
  },
  provider_status: {
    ttlSeconds: 120,
    eventDriven: true,
    critical: false,
    memoryLimit: '50M',
    invalidatedBy: ['provider_status_changed'],
  },
  market_stats: {
    ttlSeconds: 300,
    eventDriven: true,
    critical: false,
    memoryLimit: '100M',
    invalidatedBy: ['market_stats_updated', ...BOOKINGS],
  },
  historical: {
    ttlSeconds: 3600,
    eventDriven: false,
    critical: false,
    memoryLimit: '500M',
    invalidatedBy: [],
  },
};

/** The namespaces of a tier that names none. */
export const DEFAULT_NAMESPACES: readonly NamespaceSpec[] = Object.keys(WELL_KNOWN).map((name) => ({ name }));

/**
 * Nothing is refused unless it is asked for: an application that works must not have its writes refused by an upgrade, over
 * what may only look like a secret.
 */
function protectionOf({ encrypt = false, sensitive = 'allow' }: NamespaceSpec) {
  return { encrypt, sensitive };
}

/** Fills in what a namespace leaves out: first from its well-known name, then from the general defaults. */
export function resolveNamespace(spec: NamespaceSpec, tierL1TtlSeconds: number): Namespace {
  const known = WELL_KNOWN[spec.name] ?? {};
  const ttlSeconds = spec.ttlSeconds ?? known.ttlSeconds ?? 60;
  const eventDriven = spec.eventDriven ?? known.eventDriven ?? true;
  return {
    name: spec.name,
    ttlSeconds,
    // The default follows the TTL down: an order book of 5 s must not ask its author to repeat the 5.
    l1TtlSeconds: spec.l1TtlSeconds ?? Math.min(tierL1TtlSeconds, ttlSeconds),
    eventDriven,
    critical: spec.critical ?? known.critical ?? false,
    memoryLimitBytes: quantityToBytes(spec.memoryLimit ?? known.memoryLimit ?? '100M'),
    l2MemoryLimitBytes: spec.l2MemoryLimit === undefined ? 0 : quantityToBytes(spec.l2MemoryLimit),
    maxValueBytes: spec.maxValueBytes ?? DEFAULT_MAX_VALUE_BYTES,
    pushValueBytes: spec.pushValueBytes ?? 0,
    compressAboveBytes: spec.compressAboveBytes ?? 0,
    ...protectionOf(spec),
    adaptiveTtl: spec.adaptiveTtl,
    staleIfErrorSeconds: spec.staleIfErrorSeconds ?? 300,
    minReplicas: spec.minReplicas ?? 0,
    invalidatedBy: spec.invalidatedBy ?? (eventDriven ? (known.invalidatedBy ?? []) : []),
  };
}

/** Rules across the fields of a list of namespaces. Paths are relative to the list. */
export function checkNamespaces(
  list: readonly NamespaceSpec[],
  tierL1TtlSeconds: number,
  fail: (path: (string | number)[], remedy: string) => void,
): void {
  const seen = new Set<string>();
  list.forEach((spec, index) => {
    if (seen.has(spec.name))
      fail([index, 'name'], 'each namespace may be listed once; remove one of the two');
    seen.add(spec.name);
    const ns = resolveNamespace(spec, tierL1TtlSeconds);
    if (ns.l1TtlSeconds > ns.ttlSeconds) {
      fail([index, 'l1TtlSeconds'], `must be at most ttlSeconds, which is ${ns.ttlSeconds}`);
    }
    if (!ns.eventDriven && ns.invalidatedBy.length > 0) {
      fail([index, 'invalidatedBy'], 'may not be specified when eventDriven is false');
    }
    if (ns.encrypt && ns.pushValueBytes > 0)
      fail(
        [index, 'pushValueBytes'],
        'must be 0 or left out when encrypt is true: values in messages are not encrypted',
      );
    checkAdaptiveTtl(ns, (path, remedy) => fail([index, ...path], remedy));
    if (!ns.eventDriven && ns.critical) {
      fail(
        [index, 'critical'],
        'may be true only when eventDriven is true; set eventDriven, or critical to false',
      );
    }
  });
}

function checkAdaptiveTtl(
  { adaptiveTtl, eventDriven, ttlSeconds }: Namespace,
  fail: (path: string[], remedy: string) => void,
): void {
  if (adaptiveTtl === undefined) return;
  if (!eventDriven)
    fail(
      ['adaptiveTtl'],
      'may be specified only when eventDriven is true: without events changes are not known',
    );
  if (adaptiveTtl.minSeconds > ttlSeconds)
    fail(['adaptiveTtl', 'minSeconds'], `must be at most ttlSeconds, which is ${ttlSeconds}`);
  if (adaptiveTtl.maxSeconds < ttlSeconds)
    fail(['adaptiveTtl', 'maxSeconds'], `must be at least ttlSeconds, which is ${ttlSeconds}`);
}
