import { createServer, type IncomingMessage, type Server } from 'node:http';
import { z } from 'zod';
import { until } from '../../hack/local/children.ts';

/** Of OTLP over HTTP as JSON, what the tests look at: opentelemetry/proto/trace/v1/trace.proto. */
const attributeSchema = z.object({
  key: z.string(),
  value: z.looseObject({
    stringValue: z.string().optional(),
    intValue: z.union([z.number(), z.string()]).optional(),
    doubleValue: z.number().optional(),
    boolValue: z.boolean().optional(),
  }),
});
const attributes = z
  .array(attributeSchema)
  .default([])
  .transform((list) =>
    Object.fromEntries(
      list.map(({ key, value }) => [
        key,
        value.stringValue ?? value.intValue ?? value.doubleValue ?? value.boolValue,
      ]),
    ),
  );
const spanSchema = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().default(''),
  name: z.string(),
  kind: z.number(),
  startTimeUnixNano: z.coerce.bigint(),
  endTimeUnixNano: z.coerce.bigint(),
  attributes,
  links: z.array(z.looseObject({ traceId: z.string(), spanId: z.string() })).default([]),
  status: z.looseObject({ code: z.number().optional() }).default({}),
});
const exportSchema = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes }),
      scopeSpans: z.array(z.object({ spans: z.array(spanSchema) })),
    }),
  ),
});

export type ReceivedSpan = z.output<typeof spanSchema> & {
  /** Attributes of the process that sent it. */
  readonly resource: Readonly<Record<string, unknown>>;
};

/** A collector: takes OTLP over HTTP and keeps the spans. */
export class OtlpReceiver {
  readonly spans: ReceivedSpan[] = [];
  /** What each export is answered with; none at all where it is 'silence'. */
  answer: number | 'silence' = 200;
  requests = 0;
  readonly #server: Server;
  #port = 0;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.requests += 1;
      if (this.answer === 'silence') return;
      const status = this.answer;
      void bodyOf(request).then((body) => {
        if (status === 200) this.#take(body);
        response.writeHead(status, { 'content-type': 'application/json' }).end('{}');
      });
    });
  }

  static async start(): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver();
    await new Promise<void>((resolve) => receiver.#server.listen(0, '127.0.0.1', resolve));
    const address = receiver.#server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    receiver.#port = address.port;
    return receiver;
  }

  /** As it stands in a configuration. */
  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  named(name: string): ReceivedSpan[] {
    return this.spans.filter((span) => span.name === name);
  }

  /** The spans of a name, once so many are there. */
  async until(name: string, count = 1): Promise<ReceivedSpan[]> {
    try {
      return await until(`${count} spans ${name}`, () => {
        const found = this.named(name);
        return found.length >= count ? found : undefined;
      });
    } catch (error) {
      throw new Error(`received: ${this.spans.map((span) => span.name).join(', ')}`, { cause: error });
    }
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #take(body: string): void {
    const { resourceSpans } = exportSchema.parse(JSON.parse(body));
    for (const { resource, scopeSpans } of resourceSpans)
      for (const { spans } of scopeSpans)
        this.spans.push(...spans.map((span) => ({ ...span, resource: resource.attributes })));
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}
