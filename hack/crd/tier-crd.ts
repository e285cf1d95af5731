import { z } from 'zod';
import { API_GROUP, TIER_KIND, tierSpecFields } from '../../api/tier.ts';
import { tierStatusSchema } from '../../api/tier-status.ts';
import { EXTENSIONS, NAME_RULES, RULES } from './rules.ts';
import { addRule, nodeAt, type SchemaNode, structuralSchema } from './structural-schema.ts';

export const CRD_NAME = `edgecachetiers.${API_GROUP}`;

const COLUMNS = [
  { name: 'Region', type: 'string', jsonPath: '.spec.region', description: 'Region that is served' },
  { name: 'Tier', type: 'string', jsonPath: '.spec.tier', description: 'Node tier' },
  {
    name: 'Desired',
    type: 'integer',
    jsonPath: '.status.desiredAgents',
    description: 'Nodes that should run an agent',
  },
  { name: 'Ready', type: 'integer', jsonPath: '.status.readyAgents', description: 'Agents that are ready' },
  {
    name: 'L1',
    type: 'integer',
    jsonPath: '.status.l1MaxEntries',
    description: 'Entries in an agent’s memory',
  },
  {
    name: 'Hit%',
    type: 'integer',
    jsonPath: '.status.hitPercent',
    description: 'Lookups answered from memory or Redis',
  },
  {
    name: 'Status',
    type: 'string',
    // The reason and not True or False: it says at a glance what is the matter.
    jsonPath: '.status.conditions[?(@.type=="Ready")].reason',
    description: 'AgentsReady, or why not all is well',
  },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  { name: 'Cache', type: 'string', jsonPath: '.spec.cacheId', priority: 1 },
  { name: 'L1Hit%', type: 'integer', jsonPath: '.status.l1HitPercent', priority: 1 },
  { name: 'P99ms', type: 'integer', jsonPath: '.status.propagationP99Ms', priority: 1 },
  { name: 'Config', type: 'string', jsonPath: '.status.configHash', priority: 1 },
];

/** The CustomResourceDefinition of EdgeCacheTier. */
export function buildTierCrd(): object {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: CRD_NAME },
    spec: {
      group: API_GROUP,
      scope: 'Namespaced',
      names: {
        kind: TIER_KIND,
        listKind: `${TIER_KIND}List`,
        plural: 'edgecachetiers',
        singular: 'edgecachetier',
        shortNames: ['ect'],
        categories: ['edge-cache'],
      },
      versions: [
        {
          name: 'v1alpha1',
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: COLUMNS,
          schema: { openAPIV3Schema: rootSchema() },
        },
      ],
    },
  };
}

function rootSchema(): SchemaNode {
  return {
    type: 'object',
    description:
      'A group of cache agents: one on each node of a region, sharing a cache in Redis. A change is gone from every agent’s memory within milliseconds.',
    required: ['spec'],
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { type: 'object' },
      spec: { ...specSchema(), description: 'What is wanted.' },
      status: { ...statusSchema(), description: 'What is so. Written by the operator.' },
    },
    'x-kubernetes-validations': [...NAME_RULES],
  };
}

function specSchema(): SchemaNode {
  const schema = structuralSchema(tierSpecFields);
  for (const [path, extension] of Object.entries(EXTENSIONS)) Object.assign(nodeAt(schema, path), extension);
  for (const [path, rules] of Object.entries(RULES)) {
    for (const rule of rules) addRule(nodeAt(schema, path), { ...rule });
  }
  return schema;
}

function statusSchema(): SchemaNode {
  const schema = structuralSchema(z.strictObject(tierStatusSchema.shape));
  Object.assign(nodeAt(schema, 'conditions'), {
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['type'],
  });
  return schema;
}
