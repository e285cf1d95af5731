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
const HOT: ReadonlySet<string> = new Set(HOT_FIELDS);

interface WithRules {
  readonly security?: {
    readonly accessRules?: unknown;
    readonly auth?: { readonly required?: boolean | undefined } | undefined;
    readonly [name: string]: unknown;
  };
}

/** What of a file needs new pods when it changes. Of `security`, accessRules do not, as long as callers are known at all. */
export function coldPart(file: Readonly<Record<string, unknown>> & WithRules): Record<string, unknown> {
  const cold = Object.fromEntries(Object.entries(file).filter(([name]) => !HOT.has(name)));
  if (file.security === undefined) return cold;
  const { accessRules, ...others } = file.security;
  const guarded = others.auth?.required === true || accessRules !== undefined;
  return { ...cold, security: guarded ? { ...others, guarded } : others };
}

/** A configuration with what is hot of another one. */
export function withHotPart<T extends WithRules>(running: T, next: T): T {
  const hot = Object.fromEntries(Object.entries(next).filter(([name]) => HOT.has(name)));
  const { accessRules: _before, ...security } = running.security ?? {};
  const accessRules = next.security?.accessRules;
  return {
    ...running,
    ...hot,
    security: { ...security, ...(accessRules === undefined ? {} : { accessRules }) },
  };
}

/** Whether callers are told apart: an agent that did not when it started cannot begin to. */
export function isGuarded({ security }: WithRules): boolean {
  return security?.auth?.required === true || security?.accessRules !== undefined;
}

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
