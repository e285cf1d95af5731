import type { Logger } from 'pino';
import { Limiter } from '../../operator/agents/limiter.ts';
import type { KubeClient } from '../../operator/kube/client.ts';
import { fieldAt, type KubeObject, keyOf } from '../../operator/kube/object.ts';
import { Reflector } from '../../operator/kube/reflector.ts';
import { pathOf, type Resource } from '../../operator/kube/resources.ts';

const PODS: Resource = { apiVersion: 'v1', kind: 'Pod', plural: 'pods', namespaced: true };

/** Scheduler and kubelet of nodes that do not exist: pods of DaemonSets are bound, run, and end at once. */
export class FakeKubelet {
  readonly pods: Reflector;
  readonly #client: KubeClient;
  readonly #podIp: string;
  readonly #busy = new Set<string>();
  /** Real ones are spread over their nodes; this one must not drown the API server. */
  readonly #limiter = new Limiter(8);
  /** New pods do not become ready, while it is set. */
  holdsBack = false;

  constructor(client: KubeClient, logger: Logger, podIp: string) {
    this.#client = client;
    this.#podIp = podIp;
    this.pods = new Reflector({
      client,
      logger,
      resource: PODS,
      onChange: (_key, now) => {
        if (now !== undefined) void this.#tend(now);
      },
    });
  }

  run(signal: AbortSignal): Promise<void> {
    return this.pods.run(signal);
  }

  /** Looks at all pods again. */
  tendAll(): void {
    for (const pod of this.pods.values()) void this.#tend(pod);
  }

  async #tend(pod: KubeObject): Promise<void> {
    const id = `${keyOf(pod)} ${pod.metadata.resourceVersion}`;
    if (this.#busy.has(id)) return;
    this.#busy.add(id);
    // A conflict or a pod that is gone: the watch brings whatever is newer.
    await this.#limiter.run(() => this.#step(pod)).catch(() => undefined);
    this.#busy.delete(id);
  }

  async #step(pod: KubeObject): Promise<void> {
    const { namespace, name } = pod.metadata;
    if (pod.metadata.deletionTimestamp !== undefined) {
      const body = { gracePeriodSeconds: 0 };
      await this.#client.json({ method: 'DELETE', path: pathOf(PODS, { namespace, name }), body });
    } else if (fieldAt(pod, 'spec', 'nodeName') === undefined) await this.#bind(pod);
    else if (fieldAt(pod, 'status', 'phase') !== 'Running' && !this.holdsBack) await this.#start(pod);
  }

  async #bind(pod: KubeObject): Promise<void> {
    const { namespace, name } = pod.metadata;
    const node = fieldAt(
      pod,
      ...['spec', 'affinity', 'nodeAffinity', 'requiredDuringSchedulingIgnoredDuringExecution'],
      ...['nodeSelectorTerms', 0, 'matchFields', 0, 'values', 0],
    );
    await this.#client.json({
      method: 'POST',
      path: pathOf(PODS, { namespace, name: name, subresource: 'binding' }),
      body: { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target: { kind: 'Node', name: node } },
    });
  }

  async #start(pod: KubeObject): Promise<void> {
    const { namespace, name } = pod.metadata;
    const lastTransitionTime = new Date().toISOString().replace(/\.\d+Z/, 'Z');
    const condition = (type: string) => ({ type, status: 'True', lastTransitionTime });
    await this.#client.json({
      method: 'PATCH',
      path: pathOf(PODS, { namespace, name, subresource: 'status' }),
      contentType: 'application/merge-patch+json',
      body: {
        status: {
          phase: 'Running',
          podIP: this.#podIp,
          podIPs: [{ ip: this.#podIp }],
          conditions: ['Initialized', 'ContainersReady', 'Ready', 'PodScheduled'].map(condition),
        },
      },
    });
  }
}
