import type { ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import {
  endChild,
  freePort,
  isRunning,
  startChild,
  temporaryFolder,
  until,
} from '../../hack/local/children.ts';

/** What is scraped, as its ServiceMonitor would have it. */
export interface ScrapedTarget {
  readonly job: string;
  /** host:port */
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
}

const vector = z.array(
  z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) }),
);
const answers = z.object({ status: z.literal('success'), data: z.unknown() });
export type Sample = z.infer<typeof vector>[number];

/** A real Prometheus on a free port, which scrapes once a second. */
export class PrometheusServer {
  readonly #child: ChildProcess;
  readonly #url: string;
  #output = '';

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.#url = url;
    child.stderr?.on('data', (data: Buffer) => {
      this.#output = (this.#output + data.toString()).slice(-4_000);
    });
  }

  /** @param rules text of a file of rules */
  static async start(
    binary: string,
    targets: readonly ScrapedTarget[],
    rules: string,
  ): Promise<PrometheusServer> {
    const folder = temporaryFolder('prometheus');
    const port = await freePort();
    writeFileSync(join(folder, 'rules.yaml'), rules);
    const config = {
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: ['rules.yaml'],
      scrape_configs: targets.map(({ job, address, labels }) => ({
        job_name: `${job}/${address}`,
        static_configs: [{ targets: [address], labels: { ...labels, job } }],
      })),
    };
    writeFileSync(join(folder, 'prometheus.yaml'), stringify(config));
    const child = startChild(binary, [
      `--config.file=${join(folder, 'prometheus.yaml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=warn',
    ]);
    const server = new PrometheusServer(child, `http://127.0.0.1:${port}`);
    await until('Prometheus answers', async () => {
      if (!isRunning(child)) throw new Error(`Prometheus ended: ${server.#output}`);
      return (await fetch(`${server.#url}/-/ready`).catch(() => undefined))?.ok === true;
    });
    return server;
  }

  stop(): Promise<void> {
    return endChild(this.#child);
  }

  /** @throws Error with what Prometheus says of the query */
  async query(expr: string): Promise<Sample[]> {
    const { resultType, result } = z
      .object({ resultType: z.string(), result: z.unknown() })
      .parse(await this.get('query', { query: expr }));
    if (resultType !== 'vector') throw new Error(`${expr}: is a ${resultType}`);
    return vector.parse(result);
  }

  /** What the API answers under a path. */
  async get(path: string, parameters: Readonly<Record<string, string>> = {}): Promise<unknown> {
    const response = await fetch(`${this.#url}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const text = await response.text();
    if (!response.ok) throw new Error(`${path} ${JSON.stringify(parameters)}: ${text}`);
    return answers.parse(JSON.parse(text)).data;
  }
}
