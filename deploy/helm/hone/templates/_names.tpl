{{- define "hone.labels" -}}
app.kubernetes.io/name: hone
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "hone.selector" -}}
app.kubernetes.io/name: hone
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "hone.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "hone.claim" -}}
{{ .Values.persistence.existingClaim | default (printf "%s-home" .Release.Name) }}
{{- end }}

{{- define "hone.key" -}}
{{ .Values.engine.existingSecret | default (printf "%s-engine" .Release.Name) }}
{{- end }}

{{/* Not empty where the web pod submits a Job for each training itself. */}}
{{- define "hone.jobs" -}}
{{- if eq (dig "training" "launcher" "" .Values.settings) "kubernetes" }}yes{{ end -}}
{{- end }}

{{/* What every pod of Hone is and may do: no root, no privilege, nothing written but the home and /tmp. */}}
{{- define "hone.pod" -}}
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
volumes:
  - name: home
    persistentVolumeClaim:
      claimName: {{ include "hone.claim" . }}
  - name: tmp
    emptyDir: {}
{{- end }}

{{- define "hone.container" -}}
image: {{ include "hone.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
envFrom:
  - configMapRef:
      name: {{ .Release.Name }}-settings
  {{- range .Values.settingsSecrets }}
  - secretRef:
      name: {{ . }}
  {{- end }}
volumeMounts:
  - name: home
    mountPath: /var/lib/hone
  - name: tmp
    mountPath: /tmp
{{- end }}

{{- define "hone.keyed" -}}
- name: HONE_ENGINE__API_KEY
  valueFrom:
    secretKeyRef:
      name: {{ include "hone.key" . }}
      key: engine-key
{{- end }}

{{/* Resources, and a GPU where one is asked for: (dict "resources" ... "gpus" ...) */}}
{{- define "hone.resources" -}}
{{- $resources := deepCopy .resources -}}
{{- if .gpus -}}
{{- $limits := $resources.limits | default dict -}}
{{- $_ := set $limits "nvidia.com/gpu" (.gpus | int) -}}
{{- $_ := set $resources "limits" $limits -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end }}
