{{- define "livepeer.labels" -}}
app.kubernetes.io/name: livepeer
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/*
A stateful set of one role. Takes root, component, replicas, args, ports (by name), control (the control API's port), keystore
(a secret's name; empty where each node makes an account of its own), resources, dataSize, secretFiles.
*/}}
{{- define "livepeer.nodes" -}}
{{- $root := .root -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ $root.Release.Name }}-{{ .component }}
  labels:
    {{- include "livepeer.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  clusterIP: None
  # Siblings and probes reach a node before it is ready.
  publishNotReadyAddresses: true
  selector:
    {{- include "livepeer.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
  ports:
    - {name: control, port: {{ .control }}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $root.Release.Name }}-{{ .component }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "livepeer.labels" $root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ $root.Release.Name }}-{{ .component }}
  labels:
    {{- include "livepeer.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  replicas: {{ .replicas }}
  serviceName: {{ $root.Release.Name }}-{{ .component }}
  podManagementPolicy: Parallel
  selector:
    matchLabels:
      {{- include "livepeer.labels" $root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
  template:
    metadata:
      labels:
        {{- include "livepeer.labels" $root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      # More than -drainNotice and -drainTimeout together.
      terminationGracePeriodSeconds: 120
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        runAsGroup: 10001
        fsGroup: 10001
        seccompProfile: {type: RuntimeDefault}
      {{- with .nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: node
          image: {{ printf "%s:%s" $root.Values.image.repository (default $root.Chart.AppVersion $root.Values.image.tag) }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: {{- toYaml .args | nindent 12 }}
          env:
            - {name: LP_NETWORK, value: {{ $root.Values.network | quote }}}
            - name: LP_ETHURL
              valueFrom: {secretKeyRef: {name: {{ $root.Values.secrets.settings }}, key: eth-url}}
          ports:
            - {name: control, containerPort: {{ .control }}}
            {{- range $name, $port := .ports }}
            - {name: {{ $name }}, containerPort: {{ $port }}}
            {{- end }}
          # A start waits for the chain as long as it takes.
          startupProbe:
            tcpSocket: {port: control}
            periodSeconds: 5
            failureThreshold: 60
          readinessProbe:
            httpGet: {path: /healthz, port: control}
            periodSeconds: 2
            failureThreshold: 1
          livenessProbe:
            tcpSocket: {port: control}
            periodSeconds: 10
            failureThreshold: 6
          resources: {{- toYaml .resources | nindent 12 }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
          volumeMounts:
            - {name: data, mountPath: /data}
            - {name: tmp, mountPath: /tmp}
            - {name: settings, mountPath: /run/secrets/livepeer, readOnly: true}
            {{- if .keystore }}
            - {name: keys, mountPath: /keys, readOnly: true}
            {{- end }}
      volumes:
        - {name: tmp, emptyDir: {medium: Memory}}
        - name: settings
          secret:
            secretName: {{ $root.Values.secrets.settings }}
            defaultMode: 0440
            items:
              {{- range .secretFiles }}
              - {key: {{ . }}, path: {{ . }}}
              {{- end }}
        {{- if .keystore }}
        - {name: keys, secret: {secretName: {{ .keystore }}, defaultMode: 0440}}
        {{- end }}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec:
        accessModes: [ReadWriteOnce]
        resources: {requests: {storage: {{ .dataSize }}}}
{{- end }}
