{{- define "flow-collector.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "flow-collector.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "flow-collector.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "flow-collector.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "flow-collector.selectorLabels" -}}
app.kubernetes.io/name: {{ include "flow-collector.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "flow-collector.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "flow-collector.selectorLabels" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "flow-collector.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "flow-collector.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "flow-collector.clickhouseHost" -}}
{{- .Values.config.clickhouse.host | default .Values.config.clickhouse.serviceName }}
{{- end }}

{{/* The UDP ports, as a list of maps with name and port; each port once. */}}
{{- define "flow-collector.ports" -}}
{{- $ports := list }}
{{- $seen := dict }}
{{- range $name := list "nfacctd" "sfacctd" "ipfix" }}
{{- $p := index $.Values $name }}
{{- if and $p.enabled (not (hasKey $seen (toString $p.port))) }}
{{- $_ := set $seen (toString $p.port) true }}
{{- $ports = append $ports (dict "name" $name "port" (int $p.port)) }}
{{- end }}
{{- end }}
{{- if not $ports }}{{ fail "no port to receive on: enable nfacctd, sfacctd or ipfix" }}{{ end }}
{{- toJson $ports }}
{{- end }}

{{- define "flow-collector.hasFiles" -}}
{{- $f := .Values.configFiles }}
{{- if or $f.metaInterface $f.metaDevice $f.metaCircuit $f.metaApplication $f.metaOrganization $f.metaIp $f.caidaCustomOrgAdditions $f.caidaCustomAsAdditions $f.ipgeoCustomIpFile $f.preTagMap }}true{{ end }}
{{- end }}

{{- define "flow-collector.kafkaCertificates" -}}
{{- if .Values.config.kafka.outputTopic }}
{{- if .Values.certificates.existingSecret }}{{ .Values.certificates.existingSecret }}
{{- else if .Values.certificates.kafka.ca }}{{ include "flow-collector.fullname" . }}-kafka
{{- end }}
{{- end }}
{{- end }}

{{/* A value as quoted text. Large whole numbers keep their digits, where quote alone makes 1e+07 of them. */}}
{{- define "flow-collector.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) (float64 .)) }}{{ printf "%.0f" . | quote }}{{ else }}{{ . | quote }}{{ end }}
{{- end }}
