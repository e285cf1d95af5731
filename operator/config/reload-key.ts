import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { privateKeyOf } from '../../api/reload.ts';
import { isConflict, isNotFound } from '../errors.ts';
import type { KubeClient } from '../kube/client.ts';
import { fieldAt, type KubeObject } from '../kube/object.ts';
import { SECRETS } from '../kube/resources.ts';

const FIELD = 'reload-key.pem';

/**
 * The key that configurations are signed with: one for the operator, in a Secret of its own namespace, made at
 * the first start. If it is lost, a new one reaches the agents by their mounted files within a minute or two.
 */
export async function ensureReloadKey(
  client: KubeClient,
  namespace: string,
  name: string,
  signal?: AbortSignal,
): Promise<KeyObject> {
  const found = await read(client, namespace, name, signal);
  if (found !== undefined) return found;
  try {
    await client.create(SECRETS, newSecret(namespace, name), signal);
  } catch (error) {
    if (!isConflict(error)) throw error; // otherwise the other replica was quicker
  }
  const made = await read(client, namespace, name, signal);
  if (made === undefined) throw new Error(`Secret '${name}' was made and is gone again`);
  return made;
}

async function read(
  client: KubeClient,
  namespace: string,
  name: string,
  signal: AbortSignal | undefined,
): Promise<KeyObject | undefined> {
  try {
    const secret = await client.get(SECRETS, { namespace, name }, signal);
    const text = fieldAt(secret, 'data', FIELD);
    if (typeof text !== 'string')
      throw new Error(`Secret '${name}' has no ${FIELD}; delete it, and a new one is made`);
    return privateKeyOf(Buffer.from(text, 'base64').toString());
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

function newSecret(namespace: string, name: string): KubeObject {
  const { privateKey } = generateKeyPairSync('ed25519');
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  return {
    apiVersion: SECRETS.apiVersion,
    kind: SECRETS.kind,
    metadata: {
      name,
      namespace,
      labels: { 'app.kubernetes.io/name': 'edgecache-operator', 'app.kubernetes.io/part-of': 'edgecache' },
    },
    type: 'Opaque',
    immutable: true,
    data: { [FIELD]: Buffer.from(pem).toString('base64') },
  };
}
