import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse, parseAllDocuments } from 'yaml'
import { z } from 'zod'
import packageJson from '../../package.json' with { type: 'json' }
import { settingsOf } from './settings-of.ts'

/** The chart, rendered by Helm (HELM names the program). No cluster has run it. */

const HELM = process.env.HELM ?? 'helm'
/** Of PyPI: compares resources with the schemas of Kubernetes (KUBERNETES_VALIDATE names the program). */
const VALIDATOR = process.env.KUBERNETES_VALIDATE ?? 'kubernetes-validate'
const CHART = fileURLToPath(new URL('../../deploy/helm/livepeer', import.meta.url))
const ADDRESS = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const skip = spawnSync(HELM, ['version']).status === 0 ? false : `${HELM} is not installed`

const labels = z.record(z.string(), z.string())
const statefulSet = z.object({
  kind: z.literal('StatefulSet'),
  metadata: z.object({ name: z.string() }),
  spec: z.object({
    replicas: z.number(),
    serviceName: z.string(),
    selector: z.object({ matchLabels: labels }),
    template: z.object({
      metadata: z.object({ labels }),
      spec: z.object({
        securityContext: z.object({ runAsNonRoot: z.literal(true) }),
        terminationGracePeriodSeconds: z.number().min(60),
        containers: z.tuple([
          z.object({
            image: z.string(),
            args: z.array(z.string()),
            env: z.array(z.object({ name: z.string(), value: z.string().optional() })),
            ports: z.array(z.object({ name: z.string(), containerPort: z.number() })),
            securityContext: z.object({
              allowPrivilegeEscalation: z.literal(false),
              readOnlyRootFilesystem: z.literal(true),
              capabilities: z.object({ drop: z.tuple([z.literal('ALL')]) }),
            }),
            volumeMounts: z.array(z.object({ name: z.string(), mountPath: z.string() })),
          }),
        ]),
        volumes: z.array(
          z.object({
            name: z.string(),
            secret: z.object({ items: z.array(z.object({ path: z.string() })).optional() }).optional(),
          }),
        ),
      }),
    }),
  }),
})
const other = z.object({ kind: z.string(), metadata: z.object({ name: z.string() }), spec: z.unknown() })

test('the image that the chart installs is that of this version', () => {
  const { appVersion } = parse(readFileSync(`${CHART}/Chart.yaml`, 'utf8')) as { appVersion: string }
  assert.equal(appVersion, packageJson.version)
})

test('Kubernetes would take each resource, by the schemas of its API', {
  skip: skip || (spawnSync(VALIDATOR, ['--help']).error ? `${VALIDATOR} is not installed` : false),
}, () => {
  const { stdout: rendered } = helm('--set', `recipient=${ADDRESS}`)
  const { status, stderr, stdout } = spawnSync(VALIDATOR, ['--strict', '-'], {
    input: rendered,
    encoding: 'utf8',
  })
  assert.equal(status, 0, stdout + stderr)
})

test('helm lint finds nothing', { skip }, () => {
  const { status, stdout } = spawnSync(HELM, ['lint', '--strict', CHART, '--set', `recipient=${ADDRESS}`], {
    encoding: 'utf8',
  })
  assert.equal(status, 0, stdout)
})

test('the chart is well formed, and each of its nodes accepts its flags without a warning', { skip }, () => {
  const rendered = rendering('--set', 'serviceMonitor=true')
  const sets = rendered.flatMap((one) => {
    const read = statefulSet.safeParse(one)
    if (read.success) return [read.data]
    assert.notEqual(other.parse(one).kind, 'StatefulSet', read.error.message)
    return []
  })
  const roles = sets.map(({ metadata: { name }, spec: { replicas, template } }) => {
    const { containers, volumes } = template.spec
    const [{ args, env, ports }] = containers
    const files = volumes.flatMap(({ secret }) => secret?.items ?? []).map(({ path }) => path)
    const settings = settingsOf(name, args, {
      secrets: files.map((file) => `/run/secrets/livepeer/${file}`),
      variables: Object.fromEntries(env.map(({ name, value }) => [name, value ?? 'https://rpc.example/'])),
    })
    const { controlBind } = settings
    assert.equal(ports.find(({ name }) => name === 'control')?.containerPort, controlBind.port, name)
    assert.notEqual(settings.store, null, name)
    return `${name} ${replicas} ${[...settings.roles].sort().join('+')}`
  })
  assert.deepEqual(roles.sort(), [
    'x-orchestrator 3 orchestrator+transcoder',
    'x-redeemer 2 redeemer',
    'x-reward 2 reward',
  ])
  const kinds = rendered.map((one) => other.parse(one).kind)
  assert.equal(kinds.filter((kind) => kind === 'Service').length, 4)
  assert.equal(kinds.filter((kind) => kind === 'ServiceMonitor').length, 1)
})

test('what each node mounts exists, and what a service selects does', { skip }, () => {
  for (const one of rendering()) {
    const read = statefulSet.safeParse(one)
    if (!read.success) continue
    const { metadata, spec } = read.data
    const { containers, volumes } = spec.template.spec
    const names = ['data', ...volumes.map(({ name }) => name)]
    for (const { name } of containers[0].volumeMounts)
      assert.ok(names.includes(name), `${metadata.name}: ${name}`)
    assert.equal(spec.serviceName, metadata.name)
    assert.deepEqual(spec.selector.matchLabels, spec.template.metadata.labels)
  }
})

test('values that cannot work are refused before anything is installed', { skip }, () => {
  for (const [set, says] of [
    ['recipient=nobody', /recipient.*does not match/s],
    ['orchestrators.replicas=0', /replicas.*minimum/s],
    ['orchestrators.replica=2', /additional properties.*replica/s],
  ] as const) {
    const { status, stderr } = helm('--set', `recipient=${ADDRESS}`, '--set', set)
    assert.notEqual(status, 0, set)
    assert.match(stderr, says)
  }
})

function rendering(...options: string[]): unknown[] {
  const { status, stderr, stdout } = helm('--set', `recipient=${ADDRESS}`, ...options)
  assert.equal(status, 0, stderr)
  return parseAllDocuments(stdout).map((document) => {
    assert.deepEqual(document.errors, [])
    return document.toJS() as unknown
  })
}

function helm(...options: string[]) {
  return spawnSync(HELM, ['template', 'x', CHART, ...options], { encoding: 'utf8' })
}
