{{- define "edgecache.operatorName" -}}
{{- if contains "edgecache" .Release.Name -}}
{{- printf "%s-operator" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-edgecache-operator" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "edgecache.redisName" -}}
{{- printf "%s-redis" (include "edgecache.operatorName" . | trimSuffix "-operator") -}}
{{- end -}}

{{/* What selectors select by: nothing that an upgrade may change. */}}
{{- define "edgecache.selectorLabels" -}}
app.kubernetes.io/name: edgecache-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "edgecache.labels" -}}
{{ include "edgecache.selectorLabels" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: edgecache
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "edgecache.redisSelectorLabels" -}}
app.kubernetes.io/name: edgecache-redis
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* image REFERENCE: dict "image" .Values.x.image "root" . */}}
{{- define "edgecache.image" -}}
{{- printf "%s:%s" .image.repository (.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}

{{/* The tier that `helm test` asks; empty: none. */}}
{{- define "edgecache.testTier" -}}
{{- if .Values.test.tier -}}
{{- .Values.test.tier -}}
{{- else if and .Values.exampleTiers.enabled .Values.exampleTiers.tiers -}}
{{- (first .Values.exampleTiers.tiers).name -}}
{{- end -}}
{{- end -}}

{{- define "edgecache.restrictedContainer" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "edgecache.restrictedPod" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}
