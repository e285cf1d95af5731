import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { inject } from 'vitest';
import { z } from 'zod';
import { start } from '../../../hack/cluster/commands.ts';
import { eventually } from '../../../operator/testing/eventually.ts';
import { apply, NAMESPACE, pods } from './cluster.ts';
import { READY_MS } from './tiers.ts';

/** The image has what it imports compiled. */
const PROGRAM = readFileSync(new URL('../in-pod.ts', import.meta.url), 'utf8').replaceAll(".ts';", ".js';");
const SELECTOR = 'app=e2e-client';
/** For a call that is lost, not for one that a busy machine makes slow: how long lookups take is measured elsewhere. */
const CALL_MS = 20_000;

const answerSchema = z.object({
  id: z.number(),
  elapsedMs: z.number().default(0),
  response: z.unknown().optional(),
  error: z.object({ code: z.number(), details: z.string() }).optional(),
});
type Answer = z.infer<typeof answerSchema>;

const getSchema = z.object({
  found: z.boolean(),
  value: z.string(),
  source: z.number(),
  stale: z.boolean(),
  degraded: z.boolean(),
});
const changeSchema = z.object({ state: z.number(), token: z.string() });
const statsSchema = z.object({
  nodeId: z.string(),
  region: z.string(),
  configHash: z.string(),
  uptimeMs: z.number(),
  l1: z.object({ maxEntries: z.number(), entries: z.number(), hits: z.number() }),
  namespaces: z.array(z.object({ name: z.string(), ttlMs: z.number() })),
});
export type Got = z.infer<typeof getSchema>;
export type Stats = z.infer<typeof statsSchema>;

export const SOURCE_L1 = 1;
export const SOURCE_L2 = 2;

/** What a client shows and trusts: paths within its pod. */
export interface Access {
  readonly caFile?: string;
  readonly tokenFile?: string;
}

interface Entry {
  readonly namespace: string;
  readonly key: string;
}

/** An application on one node: a pod that asks agents. It stays connected, as applications do, unless told otherwise. */
export class NodeClient implements AsyncDisposable {
  readonly node: string;
  readonly #process: ChildProcess;
  readonly #access: Access;
  readonly #waiting = new Map<number, PromiseWithResolvers<Answer>>();
  #nextId = 1;

  private constructor(node: string, child: ChildProcess, access: Access) {
    this.node = node;
    this.#process = child;
    this.#access = access;
  }

  static async connect(
    node: string,
    pod: string,
    { namespace = NAMESPACE, access = {} }: { namespace?: string; access?: Access } = {},
  ): Promise<NodeClient> {
    const program = ['node', '--input-type=module-typescript', '-e', PROGRAM];
    const args = ['-n', namespace, 'exec', '-i', pod, '--', ...program];
    const child = start('kubectl', args, inject('cluster').kubeConfig);
    const client = new NodeClient(node, child, access);
    let said = '';
    child.stderr?.on('data', (text) => {
      said += text;
    });
    child.once('close', () => client.#fail(new Error(`the client on ${node} ended: ${said}`)));
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).on('line', (line) => client.#receive(line));
    // The program's first words.
    await client.#answerTo(0);
    return client;
  }

  #answerTo(id: number): Promise<Answer> {
    const waiting = Promise.withResolvers<Answer>();
    this.#waiting.set(id, waiting);
    return waiting.promise;
  }

  #fail(error: Error): void {
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }

  #receive(line: string): void {
    const answer = answerSchema.parse(JSON.parse(line));
    this.#waiting.get(answer.id)?.resolve(answer);
    this.#waiting.delete(answer.id);
  }

  async ask(
    address: string,
    method: string,
    request: object,
    isFresh = false,
    access = this.#access,
  ): Promise<unknown> {
    const id = this.#nextId++;
    const question = { id, address, method, request, timeoutMs: CALL_MS, isFresh, ...access };
    const answered = this.#answerTo(id);
    this.#process.stdin?.write(`${JSON.stringify(question)}\n`);
    const { response, error } = await answered;
    if (error !== undefined)
      throw new Error(`${method} at ${address} from ${this.node}: ${error.code} ${error.details}`);
    return response;
  }

  async get(address: string, entry: Entry & { readonly minToken?: string }): Promise<Got> {
    return getSchema.parse(await this.ask(address, 'get', entry));
  }

  async put(
    address: string,
    entry: Entry & { readonly value: string; readonly tags?: readonly string[] },
  ): Promise<string> {
    return changeSchema.parse(await this.ask(address, 'put', entry)).token;
  }

  /** By a new connection, so that a Service has to choose an agent anew. */
  async stats(address: string): Promise<Stats> {
    return statsSchema.parse(await this.ask(address, 'stats', {}, true));
  }

  /** Serial number of the certificate that an agent shows to a new connection. */
  async serial(address: string): Promise<string> {
    return z.object({ serial: z.string() }).parse(await this.ask(address, 'certificate', {})).serial;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const closed = new Promise<void>((resolve) => this.#process.once('close', () => resolve()));
    this.#process.stdin?.end();
    this.#process.kill('SIGKILL');
    await closed;
  }
}

/** What applications ask: the Service that leads to the agent of the node. */
export const serviceOf = (tier: string): string => `edgecache-${tier}.${NAMESPACE}:7480`;

/** One client on each worker, in the order of the nodes' names. */
export async function connectClients(): Promise<NodeClient[]> {
  await apply(clientDaemonSet(inject('cluster').images.agent));
  const ready = await eventually(
    'a client pod runs on each node',
    async () => {
      const found = await pods(SELECTOR);
      return found.length >= 2 && found.every((pod) => pod.isReady) && found;
    },
    READY_MS,
  );
  return await Promise.all(ready.map((pod) => NodeClient.connect(pod.node, pod.name)));
}

/** A container that only waits for programs to be run in it, in the agent's image. */
export function idleContainer(image: string): object {
  return {
    name: 'client',
    image,
    imagePullPolicy: 'IfNotPresent',
    command: ['node', '-e', 'setInterval(() => {}, 1e6); process.on("SIGTERM", () => process.exit(0))'],
    workingDir: '/app/agent/grpc',
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
  };
}

function clientDaemonSet(image: string): object {
  const labels = { app: 'e2e-client' };
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'e2e-client', namespace: NAMESPACE },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          automountServiceAccountToken: false,
          terminationGracePeriodSeconds: 1,
          securityContext: {
            runAsNonRoot: true,
            runAsUser: 65532,
            seccompProfile: { type: 'RuntimeDefault' },
          },
          containers: [idleContainer(image)],
        },
      },
    },
  };
}
