/**
 * Whether an object in the cluster still is what was wanted.
 *
 * Fields that only the cluster has are defaults of the API server and do not count, with two exceptions that
 * server-side apply does not put right by itself: maps where a foreign entry changes what the object does
 * ({@link EXACT}), and lists of another length. For those {@link correction} gives a merge patch.
 */

/** Fields whose maps must have our entries and no others. */
const EXACT = new Set(['data', 'selector', 'matchLabels', 'nodeSelector']);
/** Lists that other parties rightly extend. */
const OPEN_LISTS = new Set(['finalizers', 'ownerReferences', 'clusterIPs', 'ipFamilies']);

export function hasDrifted(wanted: unknown, live: unknown): boolean {
  if (Array.isArray(wanted)) return listHasDrifted(wanted, live);
  if (isMap(wanted)) {
    if (!isMap(live)) return true;
    return Object.entries(wanted).some(([name, value]) => fieldHasDrifted(name, value, live[name]));
  }
  return !isSameScalar(wanted, live);
}

function fieldHasDrifted(name: string, wanted: unknown, live: unknown): boolean {
  if (OPEN_LISTS.has(name)) return openListHasDrifted(wanted, live);
  if (EXACT.has(name) && extraKeys(wanted, live).length > 0) return true;
  return hasDrifted(wanted, live);
}

function listHasDrifted(wanted: readonly unknown[], live: unknown): boolean {
  // The server leaves empty lists out.
  if (!Array.isArray(live)) return wanted.length > 0;
  return wanted.length !== live.length || wanted.some((item, index) => hasDrifted(item, live[index]));
}

function openListHasDrifted(wanted: unknown, live: unknown): boolean {
  const has = Array.isArray(live) ? live : [];
  return Array.isArray(wanted) && wanted.some((item) => !has.some((other) => !hasDrifted(item, other)));
}

/**
 * A JSON merge patch that takes away what others have added where it matters; undefined where nothing was.
 * Apply puts back what was changed or taken away.
 */
export function correction(wanted: unknown, live: unknown): Record<string, unknown> | undefined {
  if (!isMap(wanted) || !isMap(live)) return undefined;
  const patch: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(wanted)) {
    const part = fieldCorrection(name, value, live[name]);
    if (part !== undefined) patch[name] = part;
  }
  return Object.keys(patch).length > 0 ? patch : undefined;
}

function fieldCorrection(name: string, wanted: unknown, live: unknown): unknown {
  if (OPEN_LISTS.has(name)) return undefined;
  if (Array.isArray(wanted)) return Array.isArray(live) && hasForeignItems(wanted, live) ? wanted : undefined;
  const extra = EXACT.has(name) ? extraKeys(wanted, live) : [];
  if (extra.length === 0) return correction(wanted, live);
  return { ...correction(wanted, live), ...Object.fromEntries(extra.map((key) => [key, null])) };
}

/**
 * What the server made of the values that were wanted: it writes some in its own way (1000m as 1), and
 * comparing with our way of writing would look like a change for ever.
 */
export function asStored(wanted: unknown, stored: unknown): unknown {
  if (stored === undefined) return wanted;
  if (Array.isArray(wanted)) {
    if (!Array.isArray(stored) || stored.length !== wanted.length) return wanted;
    return wanted.map((item, index) => asStored(item, stored[index]));
  }
  if (!isMap(wanted)) return stored;
  if (!isMap(stored)) return wanted;
  return Object.fromEntries(
    Object.entries(wanted).map(([name, value]) => [name, asStored(value, stored[name])]),
  );
}

function hasForeignItems(wanted: readonly unknown[], live: readonly unknown[]): boolean {
  // Lists inside a list's items (a container's env) are replaced with the whole list: a merge patch knows no keys.
  if (wanted.length < live.length) return true;
  return wanted.some((item, index) => correction(item, live[index]) !== undefined);
}

function extraKeys(wanted: unknown, live: unknown): string[] {
  if (!isMap(wanted) || !isMap(live)) return [];
  return Object.keys(live).filter((key) => !(key in wanted));
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Empty text, false and 0 are what the server leaves out. */
function isSameScalar(wanted: unknown, live: unknown): boolean {
  return wanted === live || (live === undefined && (wanted === '' || wanted === false || wanted === 0));
}
