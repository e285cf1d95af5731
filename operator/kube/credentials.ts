import { HttpMethod, KubeConfig, RequestContext } from '@kubernetes/client-node';
import { Agent, type Dispatcher } from 'undici';

/** Where the API server is, and what a request to it carries. */
export interface Credentials {
  readonly server: string;
  current(): Promise<{ headers: Record<string, string>; dispatcher: Dispatcher }>;
  /** Forgets what was cached, after the server said that it is not valid. */
  refresh(): void;
}

/** Bound tokens are rotated by the kubelet; client-go too reads the file again after a minute. */
const REFRESH_MS = 55_000;

/**
 * Credentials of a kubeconfig or of the pod's service account.
 *
 * The client library builds a dispatcher, and so a TLS connection, for each request (kubernetes.md, pitfall 13).
 * Here it is asked once a minute, and its dispatcher is kept for as long as the cluster's certificates stay.
 */
export class KubeConfigCredentials implements Credentials {
  readonly server: string;
  readonly #config: KubeConfig;
  #headers: Record<string, string> = {};
  #dispatcher: Dispatcher | undefined;
  #certificates = '';
  #validUntil = 0;

  constructor(config: KubeConfig) {
    const cluster = config.getCurrentCluster();
    if (cluster === null) throw new Error('the kubeconfig names no current cluster');
    this.server = cluster.server.replace(/\/$/, '');
    this.#config = config;
  }

  /** From KUBECONFIG, ~/.kube/config, or the pod that this runs in. */
  static fromDefault(): KubeConfigCredentials {
    const config = new KubeConfig();
    config.loadFromDefault();
    return new KubeConfigCredentials(config);
  }

  async current(): Promise<{ headers: Record<string, string>; dispatcher: Dispatcher }> {
    if (this.#dispatcher === undefined || Date.now() >= this.#validUntil) await this.#load();
    return { headers: this.#headers, dispatcher: this.#dispatcher ?? new Agent() };
  }

  refresh(): void {
    this.#validUntil = 0;
  }

  async #load(): Promise<void> {
    const context = new RequestContext(this.server, HttpMethod.GET);
    await this.#config.applySecurityAuthentication(context);
    this.#headers = context.getHeaders();
    this.#validUntil = Date.now() + REFRESH_MS;
    const certificates = await this.#readCertificates();
    if (this.#dispatcher !== undefined && certificates === this.#certificates) return;
    // The replaced one is not closed: watches may still run on it, and they end within minutes.
    this.#dispatcher = (context.getDispatcher() as Dispatcher | undefined) ?? new Agent();
    this.#certificates = certificates;
  }

  async #readCertificates(): Promise<string> {
    const options: { ca?: unknown; cert?: unknown } = {};
    await this.#config.applyToHTTPSOptions(options as Parameters<KubeConfig['applyToHTTPSOptions']>[0]);
    return `${String(options.ca)}\n${String(options.cert)}`;
  }
}
