import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { WalletError } from '../io/chain/keystore-file.ts'
import type { ChosenAccount } from '../io/chain/wallet.ts'
import type { Address } from '../lib/crypto.ts'
import { runConfig } from './config.ts'
import type { MachineView } from './config-facts.ts'
import { machineView } from './machine-view.ts'

const ACCOUNT = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const OTHER = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'
const ABOUT = { version: '0', runtime: 'v24', arch: 'x64', platform: 'linux' }

const found = (others: readonly Address[] = []) =>
  Promise.resolve<ChosenAccount>({
    kind: 'found',
    entry: { path: '/k/key', address: ACCOUNT, file: {} as never },
    others,
    ignored: '',
  })

const EVERYTHING_FINE: MachineView = {
  chooseAccount: () => found(),
  look: async () => 'usable',
  isFree: async () => true,
}

async function checked(argv: readonly string[], machine: Partial<MachineView> = {}) {
  const said = { out: '', err: '' }
  const code = await runConfig({
    argv,
    variables: {},
    readText: () => null,
    homeDir: '/home/op',
    about: ABOUT,
    machine: { ...EVERYTHING_FINE, ...machine },
    write: (text) => {
      said.out += text
    },
    writeError: (text) => {
      said.err += text
    },
  })
  return { code, ...said }
}

const ORCHESTRATOR = [
  ...['check', '-orchestrator', '-transcoder', '-network', 'arbitrum-one-mainnet', '-pricePerUnit', '100'],
  ...[
    '-ethUrl',
    'https://user:hush@rpc.example/hush',
    '-serviceAddr',
    'o.example:8935',
    '-ethPassword',
    'hush',
  ],
  ...['-ethOrchAddr', OTHER, '-redeemerAddr', 'r.example:8935', '-redeemerSecret', 'hush'],
]

test('it says what a node would be, without its secrets', async () => {
  const { code, out } = await checked(ORCHESTRATOR)
  assert.equal(code, 0)
  const [facts, rest] = out.split('\n\nWarnings:\n')
  assert.deepEqual(
    facts!.split('\n').map((line) => line.split(/ {2,}/)),
    [
      ['roles', 'orchestrator, transcoder'],
      ['does', 'transcodes, hands winning tickets to a redeemer, calls reward'],
      [
        'network',
        'arbitrum-one-mainnet (chain 42161), controller 0xD8E8328501E9645d16Cf49539efC04f734606ee4',
      ],
      ['endpoints', 'https://rpc.example'],
      ['account', `${ACCOUNT} (/k/key)`],
      ['recipient', OTHER],
      ['control API', '127.0.0.1:7935'],
      ['gateways and transcoders', 'port 8935 of every interface'],
      ['gateways call', 'https://o.example:8935'],
      ['redeemers', 'https://r.example:8935'],
      ['data folder', '/home/op/.lpData/arbitrum-one-mainnet'],
      ['secrets', '-ethPassword, -redeemerSecret'],
    ],
  )
  assert.match(rest!, /\n\nNothing is missing\.\n$/)
  assert.ok(!out.includes('hush'))
})

const MISSING: readonly (readonly [what: string, machine: Partial<MachineView>, says: RegExp])[] = [
  [
    'an account that is not there',
    { chooseAccount: () => Promise.reject(new WalletError('account-not-found', 'no such account')) },
    /^- no such account$/m,
  ],
  [
    'several accounts',
    { chooseAccount: () => found([OTHER]) },
    /^- the keystore has 2 accounts and none is chosen: name one with -ethAcctAddr$/m,
  ],
  [
    'a port in use',
    { isFree: async ({ port }) => port !== 8935 },
    /^- port 8935 of every interface, where gateways and transcoders would be, is in use: stop what listens there$/m,
  ],
  [
    'a data folder that cannot be written',
    { look: async () => 'unusable' },
    /^- the data folder \/home\/op\/.* cannot be written: correct its rights, or give another with -dataDir$/m,
  ],
]

for (const [what, machine, says] of MISSING) {
  test(`it names ${what} as missing and ends with 1`, async () => {
    const { code, out } = await checked(ORCHESTRATOR, machine)
    assert.equal(code, 1)
    assert.match(out, says)
  })
}

test('a keystore without accounts is no fault where a password is given', async () => {
  const none: Partial<MachineView> = {
    chooseAccount: async () => ({ kind: 'none', directory: '/k' }),
    look: async () => 'absent',
  }
  const given = await checked(ORCHESTRATOR, none)
  assert.match(given.out, /^account +a new one, created in \/k$/m)
  assert.match(given.out, /^data folder .*\(will be made\)$/m)
  assert.equal(given.code, 0)
  const { code, out } = await checked(
    ['check', '-gateway', '-network', 'arbitrum-one-mainnet', '-ethUrl', 'http://127.0.0.1:1'],
    none,
  )
  assert.equal(code, 1)
  assert.match(out, /then fund its deposit and reserve$/m)
  assert.match(out, /^- a new account needs a password: give -ethPassword, or start at a terminal$/m)
})

test('refused settings end as they do for a node', async () => {
  const refused = await checked(['check', '-orchestrator', '-transcoder', '-network', 'arbitrum-one-mainnet'])
  assert.deepEqual([refused.code, refused.out], [1, ''])
  assert.match(refused.err, /-ethUrl/)
  assert.deepEqual(await checked(['check', '-gatway']), {
    code: 2,
    out: '',
    err: 'there is no flag -gatway: did you mean -gateway?\n',
  })
})

test('with --json the same is JSON', async () => {
  const [, ...flags] = ORCHESTRATOR
  const { code, out } = await checked(['check', '--json', ...flags])
  const { facts, missing } = JSON.parse(out)
  assert.deepEqual([code, missing, facts[0]], [0, [], { name: 'roles', says: 'orchestrator, transcoder' }])
})

test('help and other commands', async () => {
  for (const argv of [['--help'], ['check', '--help']])
    assert.match((await checked(argv)).out, /^Usage: livepeer config check/)
  assert.deepEqual(await checked(['chek']), {
    code: 2,
    out: '',
    err: 'the command is livepeer config check; livepeer config --help shows the options\n',
  })
})

test('the machine is looked at as it is', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'livepeer-config-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'file'), 'x')
  const looks = ['', 'file', 'absent', 'file/below'].map((name) => machineView.look(join(folder, name)))
  assert.deepEqual(await Promise.all(looks), ['usable', 'unusable', 'absent', 'unusable'])
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  const bind = { host: '127.0.0.1', port }
  assert.equal(await machineView.isFree(bind), false)
  await new Promise((resolve) => server.close(resolve))
  assert.equal(await machineView.isFree(bind), true)
})
