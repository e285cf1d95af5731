import { z } from 'zod';
import type { SchemaNode } from '../crd/structural-schema.ts';
import { buildTierCrd } from '../crd/tier-crd.ts';
import { code, type Page, table } from './markdown.ts';
import { fieldTable } from './schema-rows.ts';

const node = z.custom<SchemaNode>((value) => typeof value === 'object' && value !== null);
const crdSchema = z.object({
  spec: z.object({
    group: z.string(),
    scope: z.string(),
    names: z.object({ kind: z.string(), plural: z.string(), shortNames: z.array(z.string()) }),
    versions: z.array(
      z.object({
        name: z.string(),
        additionalPrinterColumns: z.array(
          z.object({
            name: z.string(),
            jsonPath: z.string(),
            description: z.string().default(''),
            priority: z.number().default(0),
          }),
        ),
        schema: z.object({
          openAPIV3Schema: z.object({
            description: z.string(),
            properties: z.object({ spec: node, status: node }),
          }),
        }),
      }),
    ),
  }),
});

/** EdgeCacheTier, from the CRD. */
export function tierPage(): Page {
  const { group, scope, names, versions } = crdSchema.parse(buildTierCrd()).spec;
  const body = versions.map(
    ({ name, additionalPrinterColumns: columns, schema: { openAPIV3Schema: schema } }) => {
      const { spec, status } = schema.properties;
      return [
        `\`${group}/${name}\`, ${scope.toLowerCase()}; \`kubectl get ${names.shortNames.join('` or `')}\`. ${schema.description}`,
        `\`kubectl explain ${names.shortNames[0]}.spec\` says the same. [operator.md](../operator.md) says what becomes of a tier.`,
        '## spec',
        fieldTable(spec),
        // Those of the object as a whole concern several fields.
        ...wholeRules(spec),
        '## status',
        'Written by the operator; [operator.md](../operator.md#status) explains the conditions.',
        fieldTable(status),
        '## Columns of kubectl get',
        table(
          ['column', 'from', ''],
          columns.map(({ name: column, jsonPath, description, priority }) => [
            column,
            code(jsonPath),
            `${description}${priority > 0 ? ' (with `-o wide`)' : ''}`,
          ]),
        ),
      ].join('\n\n');
    },
  );
  return {
    name: 'tier',
    title: names.kind,
    summary: 'the custom resource: every field, its default and its rules',
    source: 'api/ and hack/crd',
    body: body.join('\n\n'),
  };
}

function wholeRules(spec: SchemaNode): string[] {
  const rules = spec['x-kubernetes-validations'] ?? [];
  return rules.length === 0
    ? []
    : [['Rules across fields:', '', ...rules.map(({ message }) => `- ${message}`)].join('\n')];
}
