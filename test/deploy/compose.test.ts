import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { z } from 'zod'
import { hasHaproxy } from '../../devnet/balancer.ts'
import { COMPOSE, exampleVariables, readCompose } from './compose.ts'
import { settingsOf } from './settings-of.ts'

const FILES = readdirSync(COMPOSE).filter((name) => name.endsWith('.yaml') && name !== 'node.yaml')
const ADDRESS = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
/** What each file is to start, by the roles of its nodes. */
const NODES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'redeemer.yaml': { redeemer: 'redeemer', orchestrator: 'orchestrator+transcoder' },
  'service-node.yaml': { 'service-node': 'redeemer', orchestrator: 'orchestrator+transcoder' },
  'reward-service.yaml': {
    redeemer: 'redeemer',
    'reward-service': 'reward',
    orchestrator: 'orchestrator+transcoder',
  },
  'cluster.yaml': {
    ...{ 'orchestrator-1': 'orchestrator+transcoder', 'orchestrator-2': 'orchestrator+transcoder' },
    ...{ 'orchestrator-3': 'orchestrator+transcoder', 'redeemer-1': 'redeemer', 'redeemer-2': 'redeemer' },
    ...{ 'reward-service-1': 'reward', 'reward-service-2': 'reward' },
  },
}

test('there is a Compose file for each setup', () => {
  assert.deepEqual(FILES.sort(), Object.keys(NODES).sort())
})

for (const name of FILES) {
  const read = () => readCompose(name, { ...exampleVariables(), ORCHESTRATOR: ADDRESS })

  test(`${name}: the node accepts the flags of each service without a warning`, () => {
    const roles: Record<string, string> = {}
    for (const [service, { command = [], environment, isNode, secrets }] of read().services) {
      if (!isNode) continue
      const settings = settingsOf(service, command, {
        ...{ secrets: secrets.map((secret) => `/run/secrets/${secret}`), variables: environment },
      })
      roles[service] = [...settings.roles].sort().join('+')
    }
    assert.deepEqual(roles, NODES[name])
  })

  test(`${name}: nodes run without privileges and keep their data; whatever a service names exists`, () => {
    const { secrets, services, volumes } = read()
    const used = { secrets: new Set<string>(), volumes: new Set<string>() }
    for (const [service, one] of services) {
      if (one.isNode) {
        assert.equal(one.read_only, true, service)
        assert.deepEqual(one.cap_drop, ['ALL'], service)
        assert.deepEqual(one.security_opt, ['no-new-privileges:true'], service)
        assert.ok(one.volumes.includes(`${service}:/data`), service)
      }
      assert.equal(one.restart, 'unless-stopped', service)
      assert.match(one.image ?? '', one.isNode ? /./ : /:(?!latest)/, service)
      for (const secret of one.secrets) {
        assert.ok(secrets.includes(secret), `${service}: ${secret}`)
        used.secrets.add(secret)
      }
      for (const volume of one.volumes) {
        const [source = ''] = volume.split(':')
        if (volumes.includes(source)) used.volumes.add(source)
        else if (!source.startsWith('./keys/')) assert.ok(existsSync(resolve(COMPOSE, source)), volume)
      }
      const after = Array.isArray(one.depends_on) ? one.depends_on : Object.keys(one.depends_on)
      for (const other of after) assert.ok(services.has(other), `${service}: ${other}`)
    }
    assert.deepEqual([...used.secrets].sort(), [...secrets].sort())
    assert.deepEqual([...used.volumes].sort(), [...volumes].sort())
  })
}

test('a missing setting is refused before anything starts', () => {
  const { ORCHESTRATOR: _, ...variables } = exampleVariables()
  assert.throws(
    () => readCompose('redeemer.yaml', variables),
    /ORCHESTRATOR is missing: the registered address/,
  )
})

const scraped = z.object({
  scrape_configs: z.tuple([
    z.object({ static_configs: z.array(z.object({ targets: z.array(z.string()) })) }),
  ]),
})

test('Prometheus asks every node of the cluster at its control API, and HAProxy knows every orchestrator', () => {
  const { services } = readCompose('cluster.yaml', { ...exampleVariables(), ORCHESTRATOR: ADDRESS })
  const nodes = [...services].filter(([, { isNode }]) => isNode)
  const portOf = (command: readonly string[]) =>
    /^-cliAddr=.*:(\d+)$/.exec(command.find((word) => word.startsWith('-cliAddr='))!)![1]
  const { scrape_configs } = scraped.parse(parse(readFileSync(join(COMPOSE, 'prometheus.yml'), 'utf8')))
  assert.deepEqual(
    scrape_configs[0].static_configs.flatMap(({ targets }) => targets).sort(),
    nodes.map(([name, { command = [] }]) => `${name}:${portOf(command)}`).sort(),
  )
  const config = readFileSync(join(COMPOSE, 'haproxy.cfg'), 'utf8')
  assert.deepEqual(
    [...config.matchAll(/^ {2}server (\S+) (\S+)$/gm)].map(([, name, at]) => `${name} ${at}`),
    nodes.filter(([name]) => name.startsWith('orchestrator')).map(([name]) => `${name} ${name}:8935`),
  )
})

test('HAProxy takes its configuration', { skip: hasHaproxy() ? false : 'HAProxy is not installed' }, () => {
  const { status, stderr } = spawnSync('haproxy', ['-c', '-f', join(COMPOSE, 'haproxy.cfg')], {
    encoding: 'utf8',
  })
  assert.equal(status, 0, stderr)
})

test('Prometheus takes its configuration', {
  skip: spawnSync('promtool', ['--version']).error ? 'promtool is not installed' : false,
}, () => {
  const config = join(COMPOSE, 'prometheus.yml')
  const { status, stderr, stdout } = spawnSync('promtool', ['check', 'config', '--syntax-only', config], {
    encoding: 'utf8',
  })
  assert.equal(status, 0, stdout + stderr)
})
