{{- define "latchkey.labels" -}}
{{ include "latchkey.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "latchkey.selector" -}}
app.kubernetes.io/name: latchkey
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "latchkey.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "latchkey.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "latchkey.image" -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
{{- end }}

{{- define "latchkey.env" -}}
- name: LATCHKEY_ISSUER
  value: {{ .Values.issuer | quote }}
- name: LATCHKEY_LISTEN
  value: ":8080"
- name: LATCHKEY_OPS_LISTEN
  value: ":8081"
- name: LATCHKEY_MASTER_KEY_FILE
  value: /run/secrets/latchkey/master-key
- name: LATCHKEY_DATABASE_URL_FILE
  value: /run/secrets/latchkey/database-url
- name: LATCHKEY_SHUTDOWN_DELAY
  value: {{ printf "%ds" (int .Values.shutdownDelaySeconds) | quote }}
- name: LATCHKEY_SHUTDOWN_TIMEOUT
  value: {{ printf "%ds" (int .Values.shutdownTimeoutSeconds) | quote }}
{{- with .Values.trustedProxies }}
- name: LATCHKEY_TRUSTED_PROXIES
  value: {{ join "," . | quote }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "latchkey.volumes" -}}
- name: secrets
  secret:
    secretName: {{ .Values.existingSecret }}
    defaultMode: 0440
- name: tmp
  emptyDir: {}
{{- end }}

{{- define "latchkey.volumeMounts" -}}
- name: secrets
  mountPath: /run/secrets/latchkey
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- end }}
