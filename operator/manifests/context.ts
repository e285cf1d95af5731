import type { EdgeCacheTier } from '../../api/tier.ts';
import type { KubeObject } from '../kube/object.ts';
import type { AgentConfigFile } from './agent-file.ts';

/** What a builder may know beside the tier: everything that is not the tier's to say. */
export interface BuildContext {
  /** The tier as the cluster has it: for names, uid and generation. */
  readonly object: KubeObject;
  readonly tier: EdgeCacheTier;
  readonly file: AgentConfigFile;
  readonly settings: BuildSettings;
  /** Authorities of the operator that clients are to trust; undefined: it made no certificate for this tier. */
  readonly trust?: string;
}

export interface BuildSettings {
  readonly agentImage: string;
  readonly agentImagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  readonly operatorNamespace: string;
  /** Public key that agents take reloads by. */
  readonly reloadKey: string;
  readonly hasServiceMonitors: boolean;
  /** Whether the cluster has cert-manager; undefined: that is not known yet. */
  readonly hasCertificates: boolean | undefined;
  /** Last part of the names of Services, such as cluster.local. */
  readonly clusterDomain: string;
}
