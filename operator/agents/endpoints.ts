import { TIER_LABEL } from '../../api/well-known.ts';
import { fieldAt, type KubeObject } from '../kube/object.ts';

/** One agent as the EndpointSlices of a tier's headless Service know it. */
export interface AgentEndpoint {
  /** Of the pod: a new pod at an old address is another agent. */
  readonly id: string;
  readonly address: string;
  readonly nodeName: string;
  readonly isReady: boolean;
}

/** `namespace/name` of the tier that a slice belongs to. */
export function tierKeyOf(object: KubeObject): string | undefined {
  const tier = object.metadata.labels?.[TIER_LABEL];
  return tier === undefined ? undefined : `${object.metadata.namespace ?? ''}/${tier}`;
}

/** Agents in a slice. One that is on its way out is left alone. */
export function endpointsOf(slice: KubeObject): AgentEndpoint[] {
  const endpoints = slice['endpoints'];
  if (!Array.isArray(endpoints)) return [];
  return endpoints
    .filter((endpoint) => fieldAt(endpoint, 'conditions', 'terminating') !== true)
    .flatMap((endpoint) => {
      const address = fieldAt(endpoint, 'addresses', 0);
      if (typeof address !== 'string') return [];
      return [
        {
          id: String(fieldAt(endpoint, 'targetRef', 'uid') ?? address),
          address,
          nodeName: String(fieldAt(endpoint, 'nodeName') ?? ''),
          // Unset means ready, says the API.
          isReady: fieldAt(endpoint, 'conditions', 'ready') !== false,
        },
      ];
    });
}

/** host:port, with brackets around IPv6. */
export function authorityOf(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
