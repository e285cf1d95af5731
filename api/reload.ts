import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

/**
 * How the operator hands a changed configuration to a running agent.
 *
 * A mounted ConfigMap alone takes the kubelet up to a minute, so the operator also sends the same bytes to
 * `POST http://<agent>:7481/-/reload`. The agent takes them only if
 * - `x-edgecache-signature` is the Ed25519 signature of the body by the key in its file (`origin.reloadKey`),
 * - `origin.uid` is its own, and `origin.generation` not lower than what it runs by.
 *
 * It then applies {@link HOT_FIELDS}, keeps all others until its next start (the operator rolls the pods for
 * those), and answers 200 with {@link ReloadAnswer}; 401 for a bad signature, 409 for another tier or an older
 * generation, 422 with `{"error": "<message>"}` for a configuration that it cannot run by.
 *
 * A signature and not a shared secret: the operator then needs no right to any Secret outside its own
 * namespace, and an agent that is broken into cannot reconfigure the others.
 */
export const RELOAD_PATH = '/-/reload';
export const SIGNATURE_HEADER = 'x-edgecache-signature';

/** Fields of an agent's file that change without a restart. All others are cold. */
export const HOT_FIELDS = ['l1', 'namespaces', 'maxStalenessMs', 'logLevel', 'origin'] as const;

export interface ReloadAnswer {
  /** {@link configHash} of what the agent now runs by. */
  readonly configHash: string;
}

/** Names a configuration by the exact bytes of its file. Agents report it in `Stats`. */
export function configHash(file: string | Uint8Array): string {
  return createHash('sha256').update(file).digest('hex').slice(0, 16);
}

export function signReload(privateKey: KeyObject, body: string): string {
  return sign(null, Buffer.from(body), privateKey).toString('base64');
}

/** Whether the body was signed by the key that the agent's own file names. */
export function isSignedReload(publicKey: string, body: string | Uint8Array, signature: string): boolean {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey, 'base64'), format: 'der', type: 'spki' });
    return verify(null, Buffer.from(body), key, Buffer.from(signature, 'base64'));
  } catch {
    return false; // a key or signature that is none
  }
}

export function publicKeyText(privateKey: KeyObject): string {
  return createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).toString('base64');
}

export function privateKeyOf(pem: string): KeyObject {
  return createPrivateKey(pem);
}
