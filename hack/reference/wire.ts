import { execFileSync } from 'node:child_process';
import { z } from 'zod';
import { code, type Page, prose, table } from './markdown.ts';

/** Field numbers of descriptor.proto, of which paths in source code info are made. */
const PATH = {
  message: 4,
  enum: 5,
  service: 6,
  method: 2,
  field: 2,
  nested: 3,
  nestedEnum: 4,
  value: 2,
} as const;

const fieldSchema = z.object({
  name: z.string(),
  number: z.number(),
  label: z.string(),
  type: z.string(),
  typeName: z.string().optional(),
  oneofIndex: z.number().optional(),
});
const enumSchema = z.object({
  name: z.string(),
  value: z.array(z.object({ name: z.string(), number: z.number().default(0) })),
});
const messageSchema = z.object({
  name: z.string(),
  field: z.array(fieldSchema).default([]),
  enumType: z.array(enumSchema).default([]),
  oneofDecl: z.array(z.object({ name: z.string() })).default([]),
  get nestedType() {
    return z.array(messageSchema).default([]);
  },
});
const fileSchema = z.object({
  package: z.string(),
  messageType: z.array(messageSchema),
  enumType: z.array(enumSchema).default([]),
  service: z.array(
    z.object({
      name: z.string(),
      method: z.array(
        z.object({
          name: z.string(),
          inputType: z.string(),
          outputType: z.string(),
          clientStreaming: z.boolean().default(false),
          serverStreaming: z.boolean().default(false),
        }),
      ),
    }),
  ),
  sourceCodeInfo: z.object({
    location: z.array(
      z.object({
        path: z.array(z.number()).default([]),
        leadingComments: z.string().default(''),
        trailingComments: z.string().default(''),
      }),
    ),
  }),
});

type Message = z.infer<typeof messageSchema>;
type EnumType = z.infer<typeof enumSchema>;
type Path = readonly number[];

/** The wire contract, from the comments of the proto. */
export function wirePage(): Page {
  const image = execFileSync('buf', ['build', '-o', '-#format=json'], { encoding: 'utf8' });
  const files = z.object({ file: z.array(z.unknown()) }).parse(JSON.parse(image)).file;
  return {
    name: 'wire',
    title: 'The wire contract',
    summary: 'gRPC: every call, message and field',
    source: 'proto/edgecache/v1/edgecache.proto',
    body: files.map((file) => new WireFile(file).text()).join('\n\n'),
  };
}

class WireFile {
  readonly #file: z.infer<typeof fileSchema>;
  readonly #comments = new Map<string, string>();

  constructor(file: unknown) {
    this.#file = fileSchema.parse(file);
    for (const { path, leadingComments, trailingComments } of this.#file.sourceCodeInfo.location) {
      const text = `${leadingComments} ${trailingComments}`.replace(/\s+/g, ' ').trim();
      // The first of a path is its own.
      if (text !== '' && !this.#comments.has(path.join())) this.#comments.set(path.join(), text);
    }
  }

  text(): string {
    const { package: name, service, messageType, enumType } = this.#file;
    const services = service.map((_, i) => this.#service(i));
    const messages = messageType.flatMap((message, i) =>
      this.#message(message, message.name, [PATH.message, i]),
    );
    const enums = enumType.map((one, i) => this.#enum(one, one.name, [PATH.enum, i]));
    const intro = `Package \`${name}\`: ${this.#comment([12])} Agents serve reflection, and standard health checks besides.`;
    return [
      intro,
      ...services,
      '## Messages',
      ...messages,
      ...(enums.length > 0 ? ['## Enums', ...enums] : []),
    ].join('\n\n');
  }

  #service(index: number): string {
    const service = this.#file.service[index];
    if (service === undefined) return '';
    const rows = service.method.map((method, i) => [
      code(method.name),
      `${method.clientStreaming ? 'stream of ' : ''}${this.#link(method.inputType)}`,
      `${method.serverStreaming ? 'stream of ' : ''}${this.#link(method.outputType)}`,
      this.#comment([PATH.service, index, PATH.method, i]),
    ]);
    const head = `## Service ${service.name}\n\n${this.#comment([PATH.service, index])}`;
    return `${head}\n\n${table(['call', 'request', 'response', ''], rows)}`;
  }

  #message(message: Message, name: string, path: Path): string[] {
    const rows = message.field.map((field, i) => {
      const choice = field.oneofIndex === undefined ? undefined : message.oneofDecl[field.oneofIndex]?.name;
      const oneOf = choice === undefined ? '' : `one of \`${choice}\``;
      const text = this.#comment([...path, PATH.field, i]);
      return [
        String(field.number),
        code(field.name),
        this.#type(field),
        [oneOf, text].filter(Boolean).join('; '),
      ];
    });
    const parts = [
      `### ${name}`,
      this.#comment(path),
      rows.length === 0 ? 'No fields.' : table(['', 'field', 'type', ''], rows),
    ];
    return [
      parts.filter((part) => part !== '').join('\n\n'),
      ...message.enumType.map((one, i) =>
        this.#enum(one, `${name}.${one.name}`, [...path, PATH.nestedEnum, i]),
      ),
      ...message.nestedType.flatMap((one, i) =>
        this.#message(one, `${name}.${one.name}`, [...path, PATH.nested, i]),
      ),
    ];
  }

  #enum({ value }: EnumType, name: string, path: Path): string {
    const rows = value.map(({ name: text, number }, i) => [
      String(number),
      code(text),
      this.#comment([...path, PATH.value, i]),
    ]);
    return [`### ${name}`, this.#comment(path), table(['', 'value', ''], rows)].filter(Boolean).join('\n\n');
  }

  #type({ type, typeName, label }: z.infer<typeof fieldSchema>): string {
    const name =
      typeName === undefined ? code(type.replace('TYPE_', '').toLowerCase()) : this.#link(typeName);
    return label === 'LABEL_REPEATED' ? `list of ${name}` : name;
  }

  #link(typeName: string): string {
    const name = typeName.replace(`.${this.#file.package}.`, '');
    return `[${name}](#${name.toLowerCase().replaceAll('.', '')})`;
  }

  #comment(path: Path): string {
    return prose(this.#comments.get(path.join()) ?? '');
  }
}
