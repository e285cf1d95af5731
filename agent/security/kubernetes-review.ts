import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { z } from 'zod';
import { AgentError } from '../errors.ts';
import type { Review, ReviewedUser } from './token-reviews.ts';

/** Where the API server is, and how the agent shows itself to it. */
export interface KubernetesApi {
  readonly host: string;
  readonly port: number;
  readonly caFile: string;
  readonly tokenFile: string;
}

const FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';
const PATH = '/apis/authentication.k8s.io/v1/tokenreviews';
const DEADLINE_MS = 5_000;
const MAX_ANSWER_BYTES = 256 * 1024;

const answerSchema = z.object({
  status: z.object({
    authenticated: z.boolean().optional(),
    // Empty where the token is of nobody.
    user: z.object({ username: z.string().optional() }).optional(),
    audiences: z.array(z.string()).optional(),
  }),
});

/** As every pod with a ServiceAccount's token has it. @throws AgentError EC_SECURITY_FILE outside of a cluster */
export function kubernetesOf(env: Readonly<Record<string, string | undefined>>): KubernetesApi {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443' } = env;
  if (!host)
    throw new AgentError(
      'EC_SECURITY_FILE',
      'security.auth.serviceAccounts (CACHE_AUTH_SERVICE_ACCOUNTS): KUBERNETES_SERVICE_HOST is not set; tokens of ServiceAccounts can only be verified in a cluster',
    );
  return { host, port: Number(port), caFile: `${FOLDER}/ca.crt`, tokenFile: `${FOLDER}/token` };
}

/** Asks the API server by TokenReview, with the agent's own token, which needs the role `system:auth-delegator`. */
export function kubernetesReview(api: KubernetesApi, audience: string | undefined): Review {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  return async (token) => {
    const audiences = audience === undefined ? undefined : [audience];
    const body = JSON.stringify({
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token, audiences },
    });
    // Both are rotated. Whoever asks for so few answers can read them each time.
    const [ca, own] = await Promise.all([readFile(api.caFile), readFile(api.tokenFile, 'utf8')]);
    const { status, text } = await post({ api, agent, ca, own: own.trim(), body });
    if (status !== 200 && status !== 201)
      throw new Error(`TokenReview was answered with ${status}${status === 403 ? HINT : ''}`);
    return userOf(text, audience);
  };
}

const HINT = ': the agent’s ServiceAccount needs the role system:auth-delegator';

function userOf(text: string, audience: string | undefined): ReviewedUser | undefined {
  const { status } = answerSchema.parse(JSON.parse(text));
  const username = status.user?.username;
  if (status.authenticated !== true || username === undefined) return undefined;
  // A server that knows no audiences leaves them out, and has then checked none.
  if (audience !== undefined && !(status.audiences ?? []).includes(audience)) return undefined;
  return { username };
}

interface Post {
  readonly api: KubernetesApi;
  readonly agent: Agent;
  readonly ca: Buffer;
  readonly own: string;
  readonly body: string;
}

function post({
  api: { host, port },
  agent,
  ca,
  own,
  body,
}: Post): Promise<{ status: number; text: string }> {
  const headers = {
    authorization: `Bearer ${own}`,
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  };
  const signal = AbortSignal.timeout(DEADLINE_MS);
  return new Promise((resolve, reject) => {
    const sent = request(
      { host, port, path: PATH, method: 'POST', headers, agent, ca, signal },
      (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > MAX_ANSWER_BYTES) response.destroy(new Error('the answer is too long'));
          else chunks.push(chunk);
        });
        response.once('error', reject);
        response.once('end', () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
        );
      },
    );
    sent.once('error', reject);
    sent.end(body);
  });
}
