import { FIELD_MANAGER, type KubeClient, STATUS_FIELD_MANAGER } from './client.ts';
import { asKubeObject, type KubeObject } from './object.ts';
import { pathOf, type Resource } from './resources.ts';

const APPLY = 'application/apply-patch+yaml';
const MERGE = 'application/merge-patch+json';

/** Makes or changes an object so that our fields are as given; fields of others stay. */
export async function apply(
  client: KubeClient,
  resource: Resource,
  object: KubeObject,
  signal?: AbortSignal,
): Promise<KubeObject> {
  return asKubeObject(
    await client.json({
      method: 'PATCH',
      path: pathOf(resource, { namespace: object.metadata.namespace, name: object.metadata.name }),
      // A controller has the last word on its own fields: without force a person's edit would block it for ever.
      query: { fieldManager: FIELD_MANAGER, force: true },
      contentType: APPLY,
      body: object,
      signal,
    }),
  );
}

export async function mergePatch(
  client: KubeClient,
  resource: Resource,
  object: KubeObject,
  patch: Record<string, unknown>,
  signal?: AbortSignal,
): Promise<void> {
  await client.json({
    method: 'PATCH',
    path: pathOf(resource, { namespace: object.metadata.namespace, name: object.metadata.name }),
    query: { fieldManager: FIELD_MANAGER },
    contentType: MERGE,
    body: patch,
    signal,
  });
}

/** Writes the status. A manager of its own: applying the spec must not take the status away. */
export async function applyStatus(
  client: KubeClient,
  resource: Resource,
  object: KubeObject,
  status: object,
  signal?: AbortSignal,
): Promise<void> {
  const { name, namespace, uid } = object.metadata;
  const metadata = {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
  };
  await client.json({
    method: 'PATCH',
    path: pathOf(resource, { namespace, name, subresource: 'status' }),
    query: { fieldManager: STATUS_FIELD_MANAGER, force: true },
    contentType: APPLY,
    body: { apiVersion: resource.apiVersion, kind: resource.kind, metadata, status },
    signal,
  });
}
