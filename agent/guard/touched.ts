import type { Touched } from './access-log.ts';

/** What a request of any call names. Values, reasons and events' data are never looked at. */
export function touchedBy(request: object): Touched {
  const items = itemsIn(request);
  const event = 'event' in request && isObject(request.event) ? request.event : {};
  const namespaces = [
    ...('namespace' in request ? texts([request.namespace]) : []),
    ...('namespaces' in request ? texts(request.namespaces) : []),
    ...('affectedNamespaces' in event ? texts(event.affectedNamespaces) : []),
    ...items.flatMap((item) => ('namespace' in item ? texts([item.namespace]) : [])),
  ];
  const keys = [request, event, ...items].flatMap((one) => [
    ...('key' in one ? texts([one.key]) : []),
    ...('keys' in one ? texts(one.keys) : []),
  ]);
  const tags = [request, event].flatMap((one) => ('tags' in one ? texts(one.tags) : []));
  return { namespaces, keys, tags };
}

/** What a request costs: each lookup of a batch, each key and tag of an invalidation. */
export function itemsOf(request: object): number {
  if ('items' in request && Array.isArray(request.items)) return Math.max(1, request.items.length);
  // What a put names is one entry, with its tags.
  if ('key' in request) return 1;
  const { keys, tags = [] } = touchedBy(request);
  return Math.max(1, keys.length + tags.length);
}

function itemsIn(request: object): object[] {
  return 'items' in request && Array.isArray(request.items) ? request.items.filter(isObject) : [];
}

function texts(values: unknown): string[] {
  return Array.isArray(values) ? values.filter((value) => typeof value === 'string') : [];
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
