import { z } from 'zod';

/** A Kubernetes object as it came over the wire. Nothing is dropped, so nothing is lost on the way back. */
export interface KubeObject {
  apiVersion?: string;
  kind?: string;
  metadata: Metadata;
  [field: string]: unknown;
}

export interface Metadata {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: OwnerReference[];
  [field: string]: unknown;
}

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

const named = z.object({ metadata: z.object({ name: z.string() }) });

/** The value as an object of the API; anything else is a bug of the server. */
export function asKubeObject(value: unknown): KubeObject {
  named.parse(value);
  return value as KubeObject;
}

/** `namespace/name`, or the name alone. */
export function keyOf(object: KubeObject): string {
  const { namespace, name } = object.metadata;
  return namespace === undefined ? name : `${namespace}/${name}`;
}

export function splitKey(key: string): { namespace: string; name: string } {
  const slash = key.indexOf('/');
  return { namespace: slash < 0 ? '' : key.slice(0, slash), name: key.slice(slash + 1) };
}

/** The value at a path of fields, or undefined. */
export function fieldAt(object: unknown, ...path: (string | number)[]): unknown {
  let value = object;
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Reflect.get(value, part);
  }
  return value;
}

export function numberAt(object: unknown, ...path: (string | number)[]): number {
  const value = fieldAt(object, ...path);
  return typeof value === 'number' ? value : 0;
}
