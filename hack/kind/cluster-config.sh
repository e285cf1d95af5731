#!/usr/bin/env bash
# Prints the kind configuration of a cluster that suits this machine.
#
# Usage: hack/kind/cluster-config.sh [--help] NAME NODE_IMAGE [AUDIT_POLICY_FILE]
#
# One control plane and two workers in two regions. OwnerReferencesPermissionEnforcement is on, so that
# a role that lacks `finalizers` fails here and not at a user's. With AUDIT_POLICY_FILE, the API server
# writes /var/log/kubernetes/audit.log on the control-plane node.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

# What the kubelet must be told where the kernel offers less.
kubelet_patch() {
  local lines=()
  is_cgroup_v2 || lines+=('failCgroupV1: false')
  has_sys_resource || lines+=('oomScoreAdj: 0' 'featureGates: { KubeletInUserNamespace: true }')
  ((${#lines[@]})) || return 0
  printf '  - |\n    kind: KubeletConfiguration\n'
  printf '    %s\n' "${lines[@]}"
}

networking() {
  # A built node image brings no network of its own: network.sh lays one.
  if is_built_image "$IMAGE"; then printf 'networking:\n  disableDefaultCNI: true\n'; fi
}

audit_patch() {
  [[ -z $AUDIT_POLICY ]] || cat <<'YAML'
      - op: add
        path: /apiServer/extraArgs/-
        value: { name: audit-policy-file, value: /etc/kubernetes/audit-policy.yaml }
      - op: add
        path: /apiServer/extraArgs/-
        value: { name: audit-log-path, value: /var/log/kubernetes/audit.log }
      - op: add
        path: /apiServer/extraVolumes
        value:
          - { name: audit-policy, hostPath: /etc/kubernetes/audit-policy.yaml, mountPath: /etc/kubernetes/audit-policy.yaml, readOnly: true, pathType: File }
          - { name: audit-log, hostPath: /var/log/kubernetes, mountPath: /var/log/kubernetes, pathType: DirectoryOrCreate }
YAML
}

# node ROLE REGION ZONE
node() {
  printf '  - role: %s\n    image: %s\n    labels:\n' "$1" "$IMAGE"
  printf '      topology.kubernetes.io/region: %s\n      topology.kubernetes.io/zone: %s\n' "$2" "$3"
  [[ $1 == worker || -z $AUDIT_POLICY ]] ||
    printf '    extraMounts:\n      - { hostPath: "%s", containerPath: /etc/kubernetes/audit-policy.yaml, readOnly: true }\n' "$AUDIT_POLICY"
}

main() {
  case ${1:-} in --help | -h) usage && return ;; esac
  (($# == 2 || $# == 3)) || { usage >&2 && return 2; }
  IMAGE=$2 AUDIT_POLICY=${3:-}
  cat <<YAML
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
name: $1
$(networking)
kubeadmConfigPatches:
  - |
    kind: KubeProxyConfiguration
    oomScoreAdj: 0
$(kubelet_patch)
kubeadmConfigPatchesJSON6902:
  # A list of arguments can only be added to, not merged: kind has put its own there.
  - group: kubeadm.k8s.io
    version: v1beta4
    kind: ClusterConfiguration
    patch: |
      - op: add
        path: /apiServer/extraArgs/-
        value: { name: enable-admission-plugins, value: "NodeRestriction,OwnerReferencesPermissionEnforcement" }
$(audit_patch)
nodes:
$(node control-plane us-east us-east-1)
$(node worker us-east us-east-1)
$(node worker eu-west eu-west-1)
YAML
}

main "$@"
