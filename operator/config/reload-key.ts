import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { privateKeyOf } from '../../api/reload.ts';
import { isConflict, isNotFound } from '../errors.ts';
import type { KubeClient } from '../kube/client.ts';
import { fieldAt, type KubeObject } from '../kube/object.ts';
import { SECRETS } from '../kube/resources.ts';

const FIELD = 'reload-key.pem';

/**
 * The key that configurations are signed with: one for the operator, in a Secret of its own namespace. The chart
 * makes that Secret empty, and the operator fills it at its first start; without the chart it makes the Secret.
 * If the key is lost, a new one reaches the agents by their mounted files within a minute or two.
 */
export async function ensureReloadKey(
  client: KubeClient,
  namespace: string,
  name: string,
  signal?: AbortSignal,
): Promise<KeyObject> {
  const secret = await read(client, namespace, name, signal);
  const found = secret === undefined ? undefined : keyIn(secret);
  if (found !== undefined) return found;
  try {
    if (secret === undefined) await client.create(SECRETS, newSecret(namespace, name), signal);
    else await client.replace(SECRETS, { ...secret, data: newData() }, signal);
  } catch (error) {
    if (!isConflict(error)) throw error; // otherwise the other replica was quicker
  }
  const made = keyIn(await client.get(SECRETS, { namespace, name }, signal));
  if (made === undefined) throw new Error(`Secret '${name}' was filled and is empty again`);
  return made;
}

async function read(
  client: KubeClient,
  namespace: string,
  name: string,
  signal: AbortSignal | undefined,
): Promise<KubeObject | undefined> {
  try {
    return await client.get(SECRETS, { namespace, name }, signal);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

function keyIn(secret: KubeObject): KeyObject | undefined {
  const text = fieldAt(secret, 'data', FIELD);
  return typeof text === 'string' ? privateKeyOf(Buffer.from(text, 'base64').toString()) : undefined;
}

function newData(): Record<string, string> {
  const { privateKey } = generateKeyPairSync('ed25519');
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  return { [FIELD]: Buffer.from(pem).toString('base64') };
}

function newSecret(namespace: string, name: string): KubeObject {
  return {
    apiVersion: SECRETS.apiVersion,
    kind: SECRETS.kind,
    metadata: {
      name,
      namespace,
      labels: { 'app.kubernetes.io/name': 'edgecache-operator', 'app.kubernetes.io/part-of': 'edgecache' },
    },
    type: 'Opaque',
    data: newData(),
  };
}
