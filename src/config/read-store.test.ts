import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { loadSettings } from './load-settings.ts'
import type { Settings } from './settings.ts'

const CHAIN = '-network devnet -ethController 0x0000000000000000000000000000000000000001 -ethUrl http://a'
const REDEEMER = `${CHAIN} -redeemer`
const URL_WITH_PASSWORD = 'postgres://operator:hunter22@db:5432/tickets?sslmode=verify-full'

function load(line: string, variables: Record<string, string> = {}): Settings | string {
  const files: Record<string, string> = { '/etc/store': `${URL_WITH_PASSWORD}\n` }
  const loaded = loadSettings({
    ...{ argv: line.split(' '), variables, homeDir: '/home/me' },
    readText: (path) => files[path] ?? null,
    about: { version: '1', runtime: 'v24', arch: 'x', platform: 'y' },
  })
  return 'exit' in loaded ? loaded.exit.stderr.trim() : loaded
}

function settings(line: string, variables?: Record<string, string>): Settings {
  const loaded = load(line, variables)
  if (typeof loaded === 'string') assert.fail(loaded)
  return loaded
}

test('without -store a node keeps a file of its own', () => {
  const { secrets, store } = settings(REDEEMER)
  assert.equal(store, null)
  assert.equal(secrets.storeUrl, '')
})

test('-store takes a URL or a file with it, from a flag or a variable; its password is not shown', () => {
  for (const { store, secrets, printable, warnings } of [
    settings(`${REDEEMER} -store /etc/store`),
    settings(REDEEMER, { LP_STORE: URL_WITH_PASSWORD }),
    settings(`${REDEEMER} -store ${URL_WITH_PASSWORD}`),
  ]) {
    assert.deepEqual(store, { schema: 'livepeer', grace: null })
    assert.equal(secrets.storeUrl, URL_WITH_PASSWORD)
    assert.equal(secrets.storeSessionUrl, URL_WITH_PASSWORD)
    assert.doesNotMatch(inspect([printable(), secrets, warnings], { depth: 9 }), /hunter22|operator/)
  }
  assert.equal(settings(REDEEMER, { LP_STORE: URL_WITH_PASSWORD }).printable().store, 'postgres://db:5432')
})

test('a password on the command line is warned about, and one in a file or a variable is not', () => {
  const about = (line: string, variables?: Record<string, string>) =>
    settings(line, variables).warnings.filter((text) => text.includes('password'))
  assert.deepEqual(about(`${REDEEMER} -store ${URL_WITH_PASSWORD}`), [
    '-store is given with a password on the command line, which every user of this machine can read: write the URL to a file and give its path, or set LP_STORE',
  ])
  assert.deepEqual(about(`${REDEEMER} -store /etc/store`), [])
  assert.deepEqual(about(REDEEMER, { LP_STORE: URL_WITH_PASSWORD }), [])
})

test('-storeSchema and -storeSessionUrl say where in the database, and how it is reached', () => {
  const { secrets, store } = settings(
    `${REDEEMER} -store postgres://pooler/x -storeSchema east_1 -storeSessionUrl /etc/store`,
  )
  assert.deepEqual(store, { schema: 'east_1', grace: null })
  assert.equal(secrets.storeUrl, 'postgres://pooler/x')
  assert.equal(secrets.storeSessionUrl, URL_WITH_PASSWORD)
})

test('-clusterAddr says where siblings reach a node; without it that is found out', () => {
  const addressOf = (more: string) => settings(`${REDEEMER} -store postgres://db/x${more}`).clusterAddress
  assert.equal(addressOf(''), null)
  assert.deepEqual(addressOf(' -clusterAddr Node1.internal:9000'), { host: 'node1.internal', port: 9000 })
  assert.deepEqual(addressOf(' -clusterAddr 10.0.0.5'), { host: '10.0.0.5', port: null })
  assert.deepEqual(addressOf(' -clusterAddr [fd00::5]:9000'), { host: 'fd00::5', port: 9000 })
})

test('an orchestrator goes on without the database for a minute and a thousandth of an ether, or as it is told', () => {
  const graceOf = (flags: string) =>
    settings(`${ORCHESTRATOR} -store postgres://db/x ${flags}`.trim()).store!.grace
  assert.deepEqual(graceOf(''), { graceMs: 60_000, valueWei: 10n ** 15n })
  assert.deepEqual(graceOf('-storeGrace 5m -storeGraceValue 2gwei'), {
    graceMs: 300_000,
    valueWei: 2_000_000_000n,
  })
  assert.equal(graceOf('-storeGrace 0'), null)
  assert.equal(graceOf('-storeGraceValue 0'), null)
})

const ORCHESTRATOR = `${CHAIN} -orchestrator -transcoder -serviceAddr 127.0.0.1:8935 -pricePerUnit 1`

test('an orchestrator of a cluster whose port has no TLS is warned that siblings hand it nothing', () => {
  const about = (line: string) => settings(line).warnings.filter((text) => text.includes('without TLS'))
  assert.deepEqual(about(`${ORCHESTRATOR} -httpAddr http://127.0.0.1:8935 -store postgres://db/x`), [
    '-httpAddr is without TLS, by which the nodes of a cluster know one another, so the others hand no segments to this one: leave http:// out, and let the balancer speak TLS to it',
  ])
  assert.deepEqual(about(`${ORCHESTRATOR} -httpAddr http://127.0.0.1:8935`), [])
  assert.deepEqual(about(`${ORCHESTRATOR} -httpAddr 127.0.0.1:8935 -store postgres://db/x`), [])
})

const refusals: [line: string, sentence: string][] = [
  [
    `${REDEEMER} -store db:5432`,
    '-store is neither a URL such as postgres://user:password@host:5432/database nor a file with one',
  ],
  [
    `${REDEEMER} -store mysql://db/x`,
    '-store is neither a URL such as postgres://user:password@host:5432/database nor a file with one',
  ],
  [
    `${REDEEMER} -storeSessionUrl postgres://db/x`,
    '-storeSessionUrl needs -store, the database of the cluster',
  ],
  [`${REDEEMER} -clusterAddr a:1`, '-clusterAddr needs -store, the database of the cluster'],
  [
    `${REDEEMER} -store postgres://db/x -clusterAddr http://a:1`,
    '-clusterAddr "http://a:1" is not an address: write HOST:PORT or HOST',
  ],
  [
    `${REDEEMER} -store postgres://db/x -clusterAddr 0.0.0.0:8935`,
    '-clusterAddr 0.0.0.0 cannot be called: give the address at which the other nodes reach this one',
  ],
  [`${REDEEMER} -storeSchema east`, '-storeSchema needs -store, the database'],
  [`${ORCHESTRATOR} -storeGrace 5s`, '-storeGrace needs -store, the database'],
  [`${ORCHESTRATOR} -storeGraceValue 5`, '-storeGraceValue needs -store, the database'],
  [
    `${ORCHESTRATOR} -store postgres://db/x -storeGraceValue -1`,
    '-storeGraceValue must be at least 0, not -1',
  ],
  ...['East', 'pg_east', '1east', 'a-b', 'x'.repeat(64)].map((name): [string, string] => [
    `${REDEEMER} -store postgres://db/x -storeSchema ${name}`,
    `-storeSchema must be at most 63 small letters, digits and underscores, begin with a letter and not with pg_, not "${name}"`,
  ]),
  [
    `${CHAIN} -gateway -store postgres://db/x`,
    '-store is for orchestrators, redeemers, reward services and round initialisers, not for a gateway: leave it out',
  ],
  [
    '-transcoder -orchAddr a -orchSecret b -store postgres://db/x',
    '-store is for orchestrators, redeemers, reward services and round initialisers, not for a standalone transcoder: leave it out',
  ],
]

for (const [line, sentence] of refusals) {
  test(`refused: ${line.replace(`${CHAIN} `, '')}`, () => {
    const loaded = load(line)
    assert.ok(typeof loaded === 'string')
    assert.ok(loaded.includes(sentence), loaded)
  })
}

test('orchestrators, redeemers, reward services and round initialisers may share a store', () => {
  for (const line of [ORCHESTRATOR, REDEEMER, CHAIN, `${CHAIN} -initializeRound`]) {
    assert.equal(settings(`${line} -store postgres://db/x`).store?.schema, 'livepeer')
  }
})
