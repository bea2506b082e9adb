import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { Rational } from '../lib/rational.ts'
import { flagNames } from './flags.ts'
import { environmentName } from './load-flags.ts'
import { loadSettings } from './load-settings.ts'
import type { Settings } from './settings.ts'

const X = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const HOT = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'
const CONTROLLER = '0xD8E8328501E9645d16Cf49539efC04f734606ee4'
const CHAIN = `-network devnet -ethUrl http://127.0.0.1:8545 -ethController ${CONTROLLER}`
const PUBLIC = '-network arbitrum-one-mainnet -ethUrl https://rpc.example'
const SERVICE = '-serviceAddr 127.0.0.1:8935'
const COMBINED = `-orchestrator -transcoder ${SERVICE}`

type Files = Readonly<Record<string, string>>
interface Rest {
  variables?: Record<string, string>
  files?: Files
  homeDir?: string | null
}

/** Splits a line into words at blanks; `␣` stands for a blank within a word. */
function load(line: string, { variables = {}, files = {}, homeDir = '/home/me' }: Rest = {}) {
  const argv = line
    .split(/ +/)
    .filter((word) => word !== '')
    .map((word) => word.replaceAll('␣', ' '))
  const all: Files = { 's.txt': 's', ...files }
  const readText = (path: string) => (Object.hasOwn(all, path) ? all[path]! : null)
  const about = { version: '1.2.3', runtime: 'v24.0.0', arch: 'x64', platform: 'linux' }
  return loadSettings({ argv, variables, readText, homeDir, about })
}

function settings(line: string, rest?: Rest): Settings {
  const loaded = load(line, rest)
  if ('exit' in loaded) assert.fail(loaded.exit.stderr)
  return loaded
}

describe('the commands that operators use', () => {
  const chain = `-network devnet -ethUrl http://rpc:8545 -ethKeystorePath keys -ethAcctAddr ${X} -ethPassword pw -ethController ${CONTROLLER}`
  const hot = chain.replace(X, HOT)
  const cases: [name: string, line: string, roles: string[]][] = [
    ['redeemer', `${hot} -redeemer -ethOrchAddr ${X}`, ['redeemer']],
    [
      'orchestrator that is registered itself',
      `${chain} -orchestrator -transcoder -redeemerAddr r:8935 -pricePerUnit 1`,
      ['orchestrator', 'transcoder'],
    ],
    ['service node', `${chain} -redeemer -httpAddr 127.0.0.1:8935`, ['redeemer']],
    [
      'service node for other machines',
      `${chain} -redeemer -httpAddr 10.0.0.1:8935 -redeemerSecret s.txt`,
      ['redeemer'],
    ],
    [
      'one of several orchestrators',
      `${hot} -orchestrator -transcoder -ethOrchAddr ${X} -redeemerAddr r:8935 -pricePerUnit 1 -serviceAddr o1:8935`,
      ['orchestrator', 'transcoder'],
    ],
    ['reward service', chain, ['reward']],
    ['round initialiser', `${chain} -initializeRound`, ['roundInitializer']],
    ['both', `${chain} -initializeRound -reward`, ['roundInitializer', 'reward']],
    ['standalone transcoder', '-transcoder -orchSecret s.txt -orchAddr o1:8935', ['transcoder']],
    ['its orchestrator', `-orchestrator -orchSecret s.txt ${SERVICE}`, ['orchestrator']],
    ['gateway', `${chain} -gateway`, ['gateway']],
    ['gateway without a chain', '-gateway -orchAddr o1', ['gateway']],
    ['coordinator', `${chain} -orchestrator -serviceAddr none -nodes a,b -pricePerUnit 1`, ['orchestrator']],
    ['with a blank word', `${chain} ␣ -gateway ␣`, ['gateway']],
  ]
  for (const [name, line, roles] of cases) {
    it(`start: ${name}`, () => assert.deepEqual([...settings(line).roles], roles))
  }
})

describe('settings of a gateway', () => {
  it('serve RTMP where they say, or not at all', () => {
    const rtmpOf = (line: string) => settings(`-gateway ${line}`).gateway!.rtmp
    assert.equal(rtmpOf('-rtmpAddr none'), null)
    assert.deepEqual(rtmpOf('-rtmpAddr :1936 -maxSegmentDuration 10s'), {
      ...{ bind: { host: '127.0.0.1', port: 1936 }, isDefault: false, maxDurationMs: 10_000 },
      certFolder: null,
    })
    assert.equal(rtmpOf('-rtmpCert /etc/letsencrypt/live/g')!.certFolder, '/etc/letsencrypt/live/g')
    assert.throws(() => rtmpOf('-maxSegmentDuration 1s'), /must be between 2000ms and/)
    assert.throws(() => rtmpOf('-maxSegmentDuration 301s'), /must be at most 300s, not 301000ms/)
  })

  it('have their defaults', () => {
    const { gateway, chain, dataDir, controlBind, maxSessions, verbosity, metrics } = settings('-gateway')
    assert.equal(chain, null)
    assert.equal(dataDir, '/home/me/.lpData/offchain')
    assert.deepEqual(controlBind, { host: '127.0.0.1', port: 5935 })
    assert.deepEqual([maxSessions, verbosity], [10, 3])
    assert.equal(settings('-gateway').logFormat, 'auto')
    assert.deepEqual(metrics, { enabled: false, perStream: false, clientIp: false })
    const { profiles, ...rest } = gateway!
    assert.deepEqual(
      profiles.map(({ name }) => name),
      ['P240p30fps16x9', 'P360p30fps16x9'],
    )
    assert.deepEqual(rest, {
      authWebhook: null,
      verifier: null,
      bind: { host: '127.0.0.1', port: 9935 },
      orchestratorWebhook: null,
      perf: null,
      metadata: null,
      kafka: null,
      httpIngest: true,
      publicHost: '',
      rtmp: {
        bind: { host: '127.0.0.1', port: 1935 },
        isDefault: true,
        maxDurationMs: 60_000,
        certFolder: null,
      },
      orchestrators: [],
      blocklist: new Set(),
      minOrchestratorVersion: '',
      extraNodes: 0,
      discoveryTimeoutMs: 500,
      selection: { stakeWeight: 0.7, randomWeight: 0.3, priceWeight: 0, priceExpFactor: 100 },
      maxAttempts: 3,
      recordings: { store: null, keptMs: null },
      currentManifest: false,
      objectStore: null,
      failedSegments: null,
      localVerify: false,
      maxPrice: null,
      ignoreMaxPriceIfNeeded: false,
      maxTicketEv: Rational.of(3_000_000_000_000n),
      maxTotalEv: Rational.of(20_000_000_000_000n),
      depositMultiplier: 1n,
    })
  })

  it('verify results and have a maximum price on chain', () => {
    const { gateway } = settings(`${CHAIN} -gateway -maxPricePerUnit 0.5USD -pixelsPerUnit 1e6`)
    assert.equal(gateway!.localVerify, true)
    assert.deepEqual(gateway!.maxPrice, {
      price: { amount: Rational.parse('0.5'), currency: 'USD' },
      pixelsPerUnit: 1_000_000n,
    })
    assert.equal(settings(`${CHAIN} -gateway -localVerify=false`).gateway!.localVerify, false)
    assert.equal(settings('-gateway -localVerify').gateway!.localVerify, true)
    assert.equal(settings(`${CHAIN} -gateway`).gateway!.maxPrice, null)
  })

  it('list orchestrators as URLs with scheme and port filled in', () => {
    const { gateway } = settings(
      '-gateway -orchAddr a,https://B:1234/,http://c,:8936,,a:8935,[::1]:8935,[::2]',
    )
    assert.deepEqual(gateway!.orchestrators, [
      'https://a:8935',
      'https://b:1234',
      'http://c:8935',
      'https://127.0.0.1:8936',
      'https://[::1]:8935',
      'https://[::2]:8935',
    ])
  })

  it('compare blocked addresses regardless of spelling', () => {
    const { gateway } = settings(`-gateway -orchBlocklist ${X.toLowerCase()},${HOT.slice(2)}`)
    assert.deepEqual([...gateway!.blocklist], [X, HOT])
  })

  const ingest: [line: string, open: boolean, warned: boolean][] = [
    ['', true, false],
    ['-httpAddr localhost:9935', true, false],
    ['-httpAddr [::1]', true, false],
    ['-httpAddr 0.0.0.0:9935', false, true],
    ['-httpAddr 0.0.0.0 -httpIngest', true, false],
    ['-httpIngest=false', false, false],
  ]
  for (const [line, open, warned] of ingest) {
    it(`take segments in ${open ? '' : 'not '}with ${line || 'nothing else'}`, () => {
      const { gateway, warnings } = settings(`-gateway -orchAddr a ${line}`)
      assert.equal(gateway!.httpIngest, open)
      assert.equal(
        warnings.some((sentence) => sentence.includes('-httpIngest')),
        warned,
      )
    })
  }

  it('take profiles from presets or from a file', () => {
    const profiles = (text: string, files: Files = {}) =>
      settings(`-gateway -transcodingOptions ${text}`, { files }).gateway!.profiles.map(({ name }) => name)
    assert.deepEqual(profiles('P144p30fps16x9'), ['P144p30fps16x9'])
    assert.deepEqual(profiles('P144p30fps16x9,,P144p30fps16x9,nonsense'), ['P144p30fps16x9'])
    assert.deepEqual(profiles('p.json', { 'p.json': '[{"name":"tiny","width":160}]' }), ['tiny'])
  })

  it('take amounts with their units', () => {
    const { chain, gateway } = settings(
      `${CHAIN} -gateway -maxTicketEV 3000gwei -maxTotalEV 0.00002eth -maxGasPrice 30gwei -blockPollingInterval 2m -maxPricePerUnit 1.5gwei`,
    )
    assert.deepEqual(
      [gateway!.maxTicketEv, gateway!.maxTotalEv],
      [Rational.of(3_000_000_000_000n), Rational.of(20_000_000_000_000n)],
    )
    assert.deepEqual([chain!.maxGasPrice, chain!.pollingIntervalMs], [30_000_000_000n, 120_000])
    assert.equal(gateway!.maxPrice!.price.currency, 'gwei')
    const { orchestrator } = settings(
      `${CHAIN} ${COMBINED} -pricePerUnit 1 -ticketEV 8gwei -maxFaceValue 0.04eth`,
    )
    assert.deepEqual(
      [orchestrator!.ticketEv, orchestrator!.maxFaceValue],
      [8_000_000_000n, 40_000_000_000_000_000n],
    )
  })

  it('never transcode with 0 attempts or fewer', () => {
    assert.equal(settings('-gateway -maxAttempts -1').gateway!.maxAttempts, 0)
  })
})

describe('settings of an orchestrator', () => {
  it('have their defaults', () => {
    const loaded = settings(`${CHAIN} ${COMBINED} -pricePerUnit 1`)
    assert.deepEqual(loaded.orchestrator, {
      authWebhook: null,
      service: { kind: 'url', url: 'https://127.0.0.1:8935' },
      bind: { host: '', port: null, clearText: false },
      nodes: [],
      startupAvailabilityCheck: true,
      rotateSecrets: false,
      price: { price: { amount: Rational.one, currency: '' }, pixelsPerUnit: 1n },
      gatewayPrices: new Map(),
      autoAdjustPrice: true,
      ticketEv: 8_000_000_000n,
      maxFaceValue: null,
      redeemers: [],
      objectStore: null,
      sources: null,
    })
    const { ladder, ...transcoder } = loaded.transcoder!
    assert.deepEqual(transcoder, {
      ...{ orchestrators: [], gpus: [], hevcDecoding: null, triesGpus: true, name: '' },
      sources: { public: true, hosts: [] },
    })
    assert.deepEqual(
      ladder.map(({ name }) => name),
      ['P240p30fps16x9', 'P360p30fps16x9'],
    )
    assert.deepEqual(loaded.controlBind, { host: '127.0.0.1', port: 7935 })
  })

  it('take the chain settings as given', () => {
    assert.deepEqual(settings(`${CHAIN} ${COMBINED} -pricePerUnit 0`).chain, {
      urls: ['http://127.0.0.1:8545'],
      controller: CONTROLLER,
      keystorePath: null,
      account: null,
      orchestrator: null,
      redeemGas: 350_000n,
      gasLimit: null,
      minGasPrice: 0n,
      maxGasPrice: null,
      pollingIntervalMs: 5000,
      transactionTimeoutMs: 300_000,
      maxReplacements: 1,
      priceFeed: '0x639Fe6ab55C921f74e7fac1ee960C0B6293ba612',
      reward: 'automatic',
      alertBalanceDays: 7,
      initializeRoundMaxDelayMs: 30_000,
    })
    const { chain } = settings(
      `-network mainnet -ethUrl http://a,,wss://b,/run/geth.ipc,http://a -ethAcctAddr ${X.toLowerCase()} -reward=false -gateway -gasLimit 9 -maxGasPrice 2_000_000_000`,
    )
    assert.deepEqual(
      [chain!.urls, chain!.account, chain!.reward, chain!.minGasPrice, chain!.gasLimit, chain!.maxGasPrice],
      [['http://a', 'wss://b', '/run/geth.ipc'], X, 'off', 1_000_000_000n, 9n, 2_000_000_000n],
    )
  })

  const services: [text: string, url: string, warned: boolean][] = [
    ['o.example', 'https://o.example:8935', true],
    ['o.example:443', 'https://o.example:443', false],
    ['https://o.example/', 'https://o.example:8935', true],
    ['https://o.example:443/', 'https://o.example:443', false],
    ['http://10.0.0.1:80', 'http://10.0.0.1:80', false],
    ['[2001:db8::1]:8935', 'https://[2001:db8::1]:8935', false],
  ]
  for (const [text, url, warned] of services) {
    it(`are reached at ${url} with -serviceAddr ${text}`, () => {
      const { orchestrator, warnings } = settings(`-orchestrator -transcoder -serviceAddr ${text}`)
      assert.deepEqual(orchestrator!.service, { kind: 'url', url })
      assert.deepEqual(warnings, warned ? [`-serviceAddr names no port, so 8935 is assumed: ${url}`] : [])
    })
  }

  it('use the registered address for the registered account, named or not', () => {
    for (const accounts of ['', `-ethAcctAddr ${X} -ethOrchAddr ${X.toLowerCase()}`, `-ethOrchAddr ${X}`]) {
      const { orchestrator } = settings(`${PUBLIC} -orchestrator -transcoder -pricePerUnit 1 ${accounts}`)
      assert.deepEqual(orchestrator!.service, { kind: 'registered' })
    }
  })

  it('may name other nodes only', () => {
    const { orchestrator } = settings('-orchestrator -serviceAddr none -nodes ghi,abc:123,,def')
    assert.deepEqual(orchestrator!.service, { kind: 'none' })
    assert.deepEqual(orchestrator!.nodes, ['https://ghi:8935', 'https://abc:123', 'https://def:8935'])
  })

  const binds: [text: string, bind: { host: string; port: number | null; clearText: boolean }][] = [
    ['127.0.0.1:8936', { host: '127.0.0.1', port: 8936, clearText: false }],
    [':8936', { host: '', port: 8936, clearText: false }],
    ['0.0.0.0:8936', { host: '', port: 8936, clearText: false }],
    ['10.0.0.1', { host: '10.0.0.1', port: null, clearText: false }],
    ['http://127.0.0.1:8936', { host: '127.0.0.1', port: 8936, clearText: true }],
  ]
  for (const [text, bind] of binds) {
    it(`listen with -httpAddr ${text}`, () => {
      assert.deepEqual(settings(`${COMBINED} -httpAddr ${text}`).orchestrator!.bind, bind)
    })
  }

  it('accept a redeemer with or without a scheme', () => {
    for (const text of ['r.example', 'r.example:8935', 'https://r.example:8935', 'https://R.example/']) {
      const { orchestrator } = settings(`${CHAIN} ${COMBINED} -pricePerUnit 1 -redeemerAddr ${text}`)
      assert.deepEqual(orchestrator!.redeemers, ['https://r.example:8935'])
    }
    const { orchestrator } = settings(
      `${CHAIN} ${COMBINED} -pricePerUnit 1 -redeemerAddr r1,https://r2:9000,r1`,
    )
    assert.deepEqual(orchestrator!.redeemers, ['https://r1:8935', 'https://r2:9000'])
  })

  it('keep prices for single gateways exact, from text, file and old name', () => {
    const json = `{"gateways":[{"ethaddress":"${X.toLowerCase()}","priceperunit":0.10000000000000000001,"currency":"USD","pixelsperunit":1e6}],
      "broadcasters":[{"ethaddress":"${HOT}","priceperunit":1e3,"pixelsperunit":1}]}`
    const expected = new Map([
      [HOT, { price: { amount: Rational.of(1000n), currency: '' }, pixelsPerUnit: 1n }],
      [
        X,
        {
          price: { amount: Rational.parse('0.10000000000000000001'), currency: 'USD' },
          pixelsPerUnit: 1_000_000n,
        },
      ],
    ])
    const line = `${CHAIN} ${COMBINED} -pricePerUnit 1`
    const files = { 'p.json': json }
    for (const flag of [
      `-pricePerGateway ${json.replace(/\s/g, '')}`,
      '-pricePerGateway p.json',
      '-pricePerBroadcaster p.json',
    ]) {
      assert.deepEqual(settings(`${line} ${flag}`, { files }).orchestrator!.gatewayPrices, expected)
    }
  })

  it('may leave the number of streams to the transcoders and the machine', () => {
    assert.equal(settings(`-orchestrator -orchSecret s.txt ${SERVICE} -maxSessions auto`).maxSessions, 'auto')
    const names = (line: string) => settings(line).transcoder!.ladder.map(({ name }) => name)
    assert.equal(settings(`${COMBINED} -maxSessions auto`).maxSessions, 'auto')
    assert.deepEqual(names(`${COMBINED} -maxSessions auto`), ['P240p30fps16x9', 'P360p30fps16x9'])
    const alone = settings(
      '-transcoder -orchSecret s.txt -orchAddr a -maxSessions auto -transcodingOptions P720p30fps16x9',
    )
    assert.deepEqual(
      [alone.maxSessions, alone.transcoder!.ladder.map(({ name }) => name), alone.warnings],
      ['auto', ['P720p30fps16x9'], []],
    )
  })
})

describe('settings of the other roles', () => {
  it('put every control API on loopback, each on its own port', () => {
    const port = (line: string) => settings(line).controlBind
    assert.deepEqual(port(`${CHAIN} -redeemer`), { host: '127.0.0.1', port: 4935 })
    assert.deepEqual(port(CHAIN), { host: '127.0.0.1', port: 2935 })
    assert.deepEqual(port('-transcoder -orchSecret s.txt -orchAddr a'), { host: '127.0.0.1', port: 6935 })
    assert.deepEqual(port('-gateway -cliAddr :7000'), { host: '127.0.0.1', port: 7000 })
    assert.deepEqual(port('-gateway -cliAddr 10.0.0.1 -cliToken t'), { host: '10.0.0.1', port: 5935 })
  })

  it('require a token for the control API wherever one is given', () => {
    const files = { 'token.txt': ' from-a-file\n' }
    const token = (line: string, rest?: Rest) => settings(`-gateway ${line}`, { files, ...rest }).secrets
    assert.equal(token('').controlToken, '')
    assert.equal(token('-cliToken none').controlToken, '')
    assert.equal(token('-cliAddr 0.0.0.0 -cliToken none').controlToken, '')
    assert.equal(token('-cliToken hush').controlToken, 'hush')
    assert.equal(token('-cliAddr 0.0.0.0 -cliToken token.txt').controlToken, 'from-a-file')
    assert.equal(token('-cliAddr :1', { variables: { LP_CLITOKEN: 'hush' } }).controlToken, 'hush')
  })

  it('list the names by which the control API may be called', () => {
    const hosts = (line: string) => settings(`-gateway ${line}`).controlHosts
    assert.deepEqual(hosts(''), [])
    assert.deepEqual(hosts('-cliHosts Node1.example,gateway'), ['node1.example', 'gateway'])
  })

  it('let a transcoder work for any orchestrator of the list', () => {
    const { transcoder, warnings } = settings('-transcoder -orchSecret s.txt -orchAddr a,b -hevcDecoding')
    const { ladder: _, ...told } = transcoder!
    assert.deepEqual(told, {
      orchestrators: ['https://a:8935', 'https://b:8935'],
      hevcDecoding: true,
      name: '',
      gpus: [],
      triesGpus: true,
      sources: { public: true, hosts: [] },
    })
    assert.deepEqual(warnings, [])
  })

  it('name a transcoder by -transcoderName, printable and short', () => {
    const line = '-transcoder -orchSecret s.txt -orchAddr a -transcoderName'
    assert.equal(settings(`${line} atelier-3`).transcoder!.name, 'atelier-3')
    for (const name of ['a\nb', 'x'.repeat(65)])
      assert.throws(
        () => settings(`${line} ${name}`),
        /-transcoderName is a name of at most 64 printable characters, which ".+" is not/,
      )
  })

  it('fetch sources from the hosts of -uriSegments', () => {
    const sources = (line: string) => settings(`${COMBINED} ${line}`).orchestrator!.sources
    assert.deepEqual(sources('-uriSegments public'), { public: true, hosts: [] })
    assert.deepEqual(sources('-uriSegments Store.lan,10.0.0.1:9000,[fd00::1]:80,'), {
      public: false,
      hosts: [
        { host: 'store.lan', port: null },
        { host: '10.0.0.1', port: 9000 },
        { host: 'fd00::1', port: 80 },
      ],
    })
    const alone = settings('-transcoder -orchSecret s -orchAddr a -uriSegments b:1')
    assert.deepEqual(alone.transcoder!.sources, { public: true, hosts: [{ host: 'b', port: 1 }] })
  })

  it('make a redeemer listen at the given address', () => {
    assert.deepEqual(settings(`${CHAIN} -redeemer -httpAddr 10.0.0.1:9000 -redeemerSecret s.txt`).redeemer, {
      ...{ bind: { host: '10.0.0.1', port: 9000 }, redeemAfterMs: 0 },
    })
    assert.equal(settings(`${CHAIN} -redeemer -redeemAfter 90m`).redeemer!.redeemAfterMs, 5_400_000)
    assert.throws(
      () => settings(`${CHAIN} -redeemer -redeemAfter -1s`),
      /-redeemAfter must be between 0ms and 596h, not -1000ms/,
    )
    assert.deepEqual(settings(`${CHAIN} -redeemer`).redeemer!.bind, { host: '127.0.0.1', port: 8935 })
  })

  it('open a redeemer to everyone only on request, with a warning', () => {
    const serving = (line: string) => settings(`${CHAIN} -redeemer -httpAddr 10.0.0.1 ${line}`)
    const open = serving('-redeemerSecret none')
    assert.deepEqual(open.warnings, [
      'the redeemer accepts tickets from anyone who can reach -httpAddr 10.0.0.1:8935, since -redeemerSecret is none: make sure that only orchestrators can reach it, and set -redeemerSecret or -certs on it and on them once none of them is a Go node',
    ])
    assert.equal(open.secrets.redeemerSecret, '')
    for (const closed of ['-redeemerSecret s.txt', '-certs D', '-certs D -redeemerSecret none']) {
      assert.deepEqual(serving(closed).warnings, [], closed)
    }
    for (const loopback of ['127.0.0.1:8936', 'localhost', '[::1]:8936'])
      assert.deepEqual(settings(`${CHAIN} -redeemer -httpAddr ${loopback}`).warnings, [], loopback)
    const [warning, ...others] = settings(`${CHAIN} -redeemer`).warnings
    assert.match(warning!, /which only orchestrators on this machine can reach/)
    assert.deepEqual(others, [])
  })

  it('send no secret to a redeemer that asks for none', () => {
    const line = `${CHAIN} ${COMBINED} -pricePerUnit 1 -redeemerAddr r:8935 -redeemerSecret none`
    assert.equal(settings(line).secrets.redeemerSecret, '')
  })

  it('name the certificate folder for the roles that use one', () => {
    const transcoder = settings('-transcoder -orchSecret s.txt -orchAddr a -certs D')
    assert.deepEqual([transcoder.certs, transcoder.warnings], ['D', []])
    assert.equal(settings(`${CHAIN} ${COMBINED} -pricePerUnit 1 -certs D`).certs, 'D')
    assert.equal(settings(`${CHAIN} -redeemer`).certs, null)
    assert.deepEqual(settings('-gateway -orchAddr a -certs D').warnings, [
      '-certs has no effect here: it is for an orchestrator or a transcoder or a redeemer',
    ])
  })

  it('confine media processes as far as the system allows, unless told otherwise', () => {
    const mode = (line: string) => settings(`-gateway ${line}`).mediaSandbox
    assert.deepEqual(
      [mode(''), mode('-mediaSandbox required'), mode('-mediaSandbox off')],
      ['auto', 'required', 'off'],
    )
    assert.deepEqual(settings(`${CHAIN} -redeemer -mediaSandbox off`).warnings.slice(-1), [
      '-mediaSandbox has no effect here: it is for a gateway or an orchestrator or a transcoder',
    ])
  })

  it('put the data into the given folder, or by network into the home folder', () => {
    assert.equal(settings('-gateway -dataDir D').dataDir, 'D')
    assert.equal(settings('-gateway -datadir D').dataDir, 'D')
    assert.equal(settings('-gateway', { variables: { LP_DATADIR: 'E' } }).dataDir, 'E')
    assert.equal(settings('-gateway -dataDir D', { variables: { LP_DATADIR: 'E' } }).dataDir, 'D')
    assert.equal(settings(`${CHAIN} -gateway`, { homeDir: '/root/' }).dataDir, '/root/.lpData/devnet')
  })

  it('ignore a verbosity that is not a number', () => {
    assert.deepEqual([settings('-gateway -v loud').verbosity, settings('-gateway -v 6').verbosity], [3, 6])
  })
})

describe('secrets', () => {
  it('come from the text or from a file of that name', () => {
    const files = { '/run/pw': '  from file\n' }
    const password = (line: string) => settings(`${CHAIN} -gateway ${line}`, { files }).secrets.ethPassword
    assert.deepEqual(
      [password('-ethPassword plain'), password('-ethPassword /run/pw'), password('')],
      ['plain', 'from file', ''],
    )
    const { secrets, warnings } = settings(`${CHAIN} -gateway -ethPassword /run/nothing`, { files })
    assert.equal(secrets.ethPassword, '/run/nothing')
    assert.deepEqual(warnings, [
      '-ethPassword looks like a path, but no such file can be read, so the text itself is used',
      '-ethPassword is given as text on the command line, which every user of this machine can read: write it to a file and give its path, or set LP_ETHPASSWORD',
    ])
  })

  it('cause a warning when given as text on the command line, and only there', () => {
    const files = { '/run/secret': 'swordfish\n', 'node.conf': 'ethPassword hush\n' }
    const warned = (line: string, variables = {}) =>
      settings(`${CHAIN} -redeemer ${line}`, { variables, files }).warnings.filter((text) =>
        text.includes('given as text'),
      )
    for (const name of ['ethPassword', 'redeemerSecret', 'cliToken'] as const) {
      const variable = `LP_${name.toUpperCase()}`
      assert.deepEqual(warned(`-${name} swordfish`), [
        `-${name} is given as text on the command line, which every user of this machine can read: write it to a file and give its path, or set ${variable}`,
      ])
      assert.deepEqual(warned(`-${name} /run/secret`), [])
      assert.deepEqual(warned('', { [variable]: 'swordfish' }), [])
    }
    assert.deepEqual(warned('-config node.conf'), [])
    assert.deepEqual(warned('-cliToken none'), [])
  })

  it('of a redeemer come from text, environment or file', () => {
    const files = { '/run/secret': 'swordfish\n' }
    const secret = (line: string, variables = {}) =>
      settings(`${CHAIN} -redeemer ${line}`, { variables, files }).secrets.redeemerSecret
    assert.equal(secret('-redeemerSecret swordfish'), 'swordfish')
    assert.equal(secret('-redeemerSecret /run/secret'), 'swordfish')
    assert.equal(secret('', { LP_REDEEMERSECRET: 'swordfish' }), 'swordfish')
    assert.equal(secret('', { LP_REDEEMERSECRET: '/run/secret' }), 'swordfish')
    assert.equal(secret(''), '')
  })

  it('show nowhere in URLs', () => {
    const shown = (line: string) =>
      settings(`-network devnet -ethController ${CONTROLLER} ${line}`).printable()
    const urls = '/run/geth.ipc,https://me:hush@a:1/v2/KEY?k=one,https:/b/KEY,wss://c/KEY#frag'
    assert.equal(shown(`-gateway -ethUrl ${urls}`).ethUrl, '/run/geth.ipc,https://a:1,https://b,wss://c')
    const stats = shown('-gateway -ethUrl http://a -orchPerfStatsUrl https://h/KEY?a=b,KEY')
    assert.equal(stats.orchPerfStatsUrl, 'https://h,***')
    assert.equal(shown('-gateway -ethUrl http://a -orchAddr https://o:1,o2').orchAddr, 'https://o:1,o2')
  })

  it('show nowhere', () => {
    const line = `-network devnet -ethController ${CONTROLLER} -ethUrl http://me:hush@a/v3/0123456789abcdef0123456789,http://b -ethPassword hush -orchestrator -orchSecret hush -cliToken hush ${SERVICE} -pricePerUnit 1 -maxSessions 10`
    const loaded = settings(line)
    assert.equal(loaded.secrets.ethPassword, 'hush')
    assert.deepEqual(loaded.printable(), {
      network: 'devnet',
      ethController: CONTROLLER,
      ethUrl: 'http://a,http://b',
      ethPassword: '***',
      orchestrator: 'true',
      orchSecret: '***',
      cliToken: '***',
      serviceAddr: '127.0.0.1:8935',
      pricePerUnit: '1',
    })
    assert.equal(JSON.stringify(loaded.secrets), '{}')
    assert.doesNotMatch(inspect(loaded.secrets, { depth: 9, showHidden: true, getters: false }), /hush/)
  })
})

describe('a sentence refuses', () => {
  const service = `${CHAIN} -orchestrator -transcoder -pricePerUnit 1`
  const refused: [line: string, sentence: string, rest?: Rest][] = [
    ['-gateway -logFormat xml', '-logFormat must be auto, pretty, json or journald, not "xml"'],
    [
      `${COMBINED} -uriSegments public,http://a/b`,
      '-uriSegments "http://a/…" is not a host: write public, HOST or HOST:PORT, with commas between them',
    ],
    // Roles and network (operations.md §9 A1, A7; §10 #12, #13, #22)
    [
      '',
      'nothing to run: give -gateway, -orchestrator, -transcoder or -redeemer, or a -network for the reward service',
    ],
    [
      `${CHAIN} -redeemer -orchestrator`,
      '-redeemer and -orchestrator cannot share a process: run the redeemer by itself, and give its address to the orchestrator with -redeemerAddr',
    ],
    [
      '-gateway -orchestrator -transcoder',
      '-gateway and -orchestrator cannot share a process: run each by itself, with its own -dataDir',
    ],
    [
      '-gateway -transcoder',
      '-gateway and -transcoder cannot share a process: run each by itself, with its own -dataDir',
    ],
    [`${CHAIN} -reward=false`, '-reward=false leaves nothing to run: give a role or leave it out'],
    [
      '-redeemer',
      '-redeemer needs a chain, but -network is not given, so offchain: name the network, such as -network arbitrum-one-mainnet, or leave -redeemer out',
    ],
    [
      '-reward -network offchain',
      '-reward needs a chain, but -network is offchain: name the network, such as -network arbitrum-one-mainnet, or leave -reward out',
    ],
    [
      `${COMBINED} -pricePerUnit 1`,
      '-pricePerUnit needs a chain, but -network is not given, so offchain: name the network, such as -network arbitrum-one-mainnet, or leave -pricePerUnit out',
    ],
    [
      `-orchestrator -ethController ${CONTROLLER}`,
      '-ethController needs a chain, but -network is not given, so offchain: name the network, such as -network arbitrum-one-mainnet, or leave -ethController out',
    ],
    [
      '-gateway',
      'LP_ETHURL needs a chain, but -network is not given, so offchain: name the network, such as -network arbitrum-one-mainnet, or leave -ethUrl out',
      { variables: { LP_ETHURL: 'http://secret' } },
    ],
    ['-gateway -network ../up', '-network "../up" is not a valid network name'],
    [
      '-gateway -network private -ethUrl http://a',
      'no Controller contract is known for -network private: give -ethController, or one of arbitrum-one-mainnet, mainnet, arbitrum-one-rinkeby, rinkeby',
    ],
    [
      '-gateway -network arbitrum-one-mainet -ethUrl http://a',
      'no Controller contract is known for -network arbitrum-one-mainet: did you mean arbitrum-one-mainnet?',
    ],
    ['-gateway -network mainnet', '-network mainnet needs -ethUrl, the JSON-RPC endpoint of the chain'],
    ['-gateway', 'no home folder was found for the data: give -dataDir', { homeDir: null }],

    // Chain (#14)
    [
      `-gateway ${CHAIN.replace('http://127.0.0.1:8545', 'http://a,my-key')}`,
      'entry 2 of -ethUrl is neither an http, https, ws or wss URL nor the path of an IPC socket',
    ],
    [
      `${CHAIN} -gateway -ethAcctAddr 0x7099`,
      '-ethAcctAddr: "0x7099" is not an address: 40 hexadecimal digits',
    ],
    [
      `${service} ${SERVICE} -ethOrchAddr ${X.replace('C51812', 'c51812')}`,
      `-ethOrchAddr: ${X.replace('C51812', 'c51812')} has a wrong checksum: correct the mistyped digit, or write the address in lower case`,
    ],
    [
      `${service} ${SERVICE} -ethOrchAddr 0x${'0'.repeat(40)}`,
      '-ethOrchAddr is the zero address: give the address of an account',
    ],
    [
      `-gateway -network devnet -ethUrl http://a -ethController nonsense`,
      '-ethController: "nonsense" is not an address: 40 hexadecimal digits',
    ],
    [`${CHAIN} -gateway -priceFeedAddr=`, '-priceFeedAddr is empty: give an address or leave it out'],
    [
      `${CHAIN} -gateway -blockPollingInterval 0`,
      '-blockPollingInterval must be between 1s and 596h, not 0s',
    ],
    [
      `${CHAIN} -gateway -blockPollingInterval 500ms`,
      '-blockPollingInterval must be between 1s and 596h, not 0.5s',
    ],
    [
      '-gateway',
      'LP_V must be a log level (0 errors, 2 warnings, 3 information, 5 everything), not "abc"',
      { variables: { LP_V: 'abc' } },
    ],
    [
      `${CHAIN} -gateway -maxTransactionReplacements -1`,
      '-maxTransactionReplacements must be at least 0, not -1',
    ],
    [`${CHAIN} -gateway -transactionTimeout 0`, '-transactionTimeout must be between 1ms and 596h, not 0ms'],
    [`${CHAIN} -gateway -gasLimit -1`, '-gasLimit must be at least 0, not -1'],
    [`${CHAIN} -gateway -minGasPrice -1`, '-minGasPrice must be at least 0, not -1'],
    [
      '-gateway -network mainnet -ethUrl http://a -maxGasPrice 5',
      '-maxGasPrice 5 is below the minimum gas price of 1000000000, so no transaction could be sent: raise -maxGasPrice or lower -minGasPrice',
    ],

    // Orchestrator (A3 to A6, A8; #6, #14, #25, #26)
    [
      '-orchestrator -transcoder',
      '-orchestrator without a chain needs -serviceAddr, the HOST:PORT at which gateways reach it',
    ],
    [
      '-orchestrator -transcoder -serviceAddr a\u0001b',
      'Error getting service URI: -serviceAddr "a\\u0001b" is not a node address: write HOST:PORT, such as node.example:8935',
    ],
    [
      '-orchestrator -transcoder -serviceAddr https://me:pw@a/path',
      'Error getting service URI: -serviceAddr "https://a/…" is not a node address: write HOST:PORT, such as node.example:8935',
    ],
    [
      '-orchestrator -transcoder -serviceAddr a:99999',
      'Error getting service URI: -serviceAddr "a:99999" is not a node address: write HOST:PORT, such as node.example:8935',
    ],
    [
      '-orchestrator -transcoder -serviceAddr 0.0.0.0:8935',
      '-serviceAddr 0.0.0.0 cannot be called: give the address that gateways use',
    ],
    [
      `-orchestrator ${SERVICE}`,
      '-orchestrator needs -transcoder to transcode here, or -orchSecret for transcoders elsewhere',
    ],
    [
      '-orchestrator -serviceAddr none',
      'Empty service URI and no additional nodes specified: -serviceAddr none needs -nodes',
    ],
    [
      `${COMBINED} -nodes ghi,abc:def`,
      '-nodes "abc:def" is not a node address: write HOST:PORT, such as node.example:8935',
    ],
    [`${COMBINED} -nodes ,`, '-nodes "," lists no address'],
    [
      `${PUBLIC} ${COMBINED} -pricePerUnit 1`,
      '-serviceAddr 127.0.0.1 can be reached from this machine only, but the gateways of arbitrum-one-mainnet are elsewhere: give the public address',
    ],
    [
      `${COMBINED} -httpAddr ftp://a`,
      '-httpAddr "ftp://a" is not an address to listen on: write HOST:PORT, such as *:8935',
    ],
    [
      `${COMBINED} -httpAddr http://a:1/path`,
      '-httpAddr "a:1/path" is not an address to listen on: write HOST:PORT, such as *:8935',
    ],
    [
      `${CHAIN} ${COMBINED}`,
      '-orchestrator on a chain needs -pricePerUnit, its price per pixel (0 to work for free)',
    ],
    [
      `${CHAIN} ${COMBINED} -pricePerUnit -5`,
      '-pricePerUnit: "-5" is not a price: write a number of at least 0, and after it a currency if it is not wei, such as 0.5USD',
    ],
    [
      `${CHAIN} ${COMBINED} -pricePerUnit 1 -pixelsPerUnit 0`,
      '-pixelsPerUnit "0" is not a whole number above 0',
    ],
    [
      `${CHAIN} ${COMBINED} -pricePerUnit 1 -pixelsPerUnit -5`,
      '-pixelsPerUnit "-5" is not a whole number above 0',
    ],
    [
      `${CHAIN} ${COMBINED} -pricePerUnit 1 -pixelsPerUnit 1.5`,
      '-pixelsPerUnit "1.5" is not a whole number above 0',
    ],
    [
      `${service} ${SERVICE} -ticketEV -1`,
      '-ticketEV "-1" is not a whole number of wei of at least 0, nor an amount with a unit, such as 8gwei or 0.01eth',
    ],
    [
      `${service} ${SERVICE} -maxFaceValue 1.5`,
      '-maxFaceValue "1.5" is not a whole number of wei of at least 0, nor an amount with a unit, such as 8gwei or 0.01eth',
    ],
    [
      `${service} ${SERVICE} -redeemerAddr r:port`,
      '-redeemerAddr "r:port" is not a node address: write HOST:PORT, such as node.example:8935',
    ],
    [
      `${service} ${SERVICE} -pricePerGateway prices.json`,
      '-pricePerGateway: "prices.json" is neither JSON nor a readable file',
    ],
    [`${service} ${SERVICE} -pricePerGateway {}`, '-pricePerGateway: the array "gateways" is missing'],
    [
      `${service} ${SERVICE} -pricePerGateway {"gateways":[{"ethaddress":"${X}","priceperunit":"1","pixelsperunit":1}]}`,
      '-pricePerGateway: gateways.0.priceperunit: must be a number without quotes',
    ],
    [
      `${service} ${SERVICE} -pricePerGateway {"gateways":[{"ethaddress":"${X}","priceperunit":1}]}`,
      '-pricePerGateway: gateways.0.pixelsperunit: must be a number without quotes',
    ],
    [
      `${service} ${SERVICE} -pricePerGateway {"gateways":[{"ethaddress":"${X}","priceperunit":-1,"pixelsperunit":1}]}`,
      `-pricePerGateway: priceperunit of ${X} is below 0`,
    ],
    [
      `${service} ${SERVICE} -pricePerGateway {"gateways":[{"ethaddress":"${X}","priceperunit":1,"pixelsperunit":0}]}`,
      `-pricePerGateway: pixelsperunit of ${X} is not a whole number above 0`,
    ],
    [
      `${service} ${SERVICE} -pricePerGateway {"gateways":[{"ethaddress":"0x1","priceperunit":1,"pixelsperunit":1}]}`,
      '-pricePerGateway: "0x1" is not an address: 40 hexadecimal digits',
    ],
    [
      `${service} ${SERVICE} -pricePerGateway {"gateways":[{"ethaddress":"${X}","priceperunit":1,"pixelsperunit":1},{"ethaddress":"${X.toLowerCase()}","priceperunit":2,"pixelsperunit":1}]}`,
      `-pricePerGateway: ${X} has two prices`,
    ],

    // Transcoder (operations.md §9 A7)
    [
      '-transcoder',
      '-transcoder without -orchestrator needs -orchSecret, the secret it shares with its orchestrator',
    ],
    [
      '-transcoder -orchSecret s.txt',
      '-transcoder without -orchestrator needs -orchAddr, the address of its orchestrator',
    ],

    // Gateway (A9, A10, A13, A15)
    ['-gateway -authWebhookUrl ftp://a', '-authWebhookUrl is not an http or https URL'],
    ['-gateway -orchWebhookUrl nonsense', '-orchWebhookUrl is not an http or https URL'],
    ['-gateway -verifierUrl http://', '-verifierUrl is not an http or https URL'],
    ...['', ' -objectStore /segments'].map((store): [string, string] => [
      `-gateway -verifierUrl http://a${store}`,
      '-verifierUrl needs -verifierPath, a folder in which the verifier finds the segments, or -objectStore with a bucket from which it fetches them',
    ]),
    ['-gateway -maxSessions 0', '-maxSessions must be \'auto\' or greater than zero, not "0"'],
    ['-gateway -maxSessions -1', '-maxSessions must be \'auto\' or greater than zero, not "-1"'],
    ['-gateway -maxSessions ten', '-maxSessions must be \'auto\' or greater than zero, not "ten"'],
    ['-gateway -maxSessions auto', '-maxSessions auto is for an orchestrator or a transcoder: give a number'],
    [
      `${CHAIN} -gateway -maxTicketEV abcd`,
      '-maxTicketEV "abcd" is not an amount of wei of at least 0, nor one with a unit, such as 3000gwei or 0.000003eth',
    ],
    [
      `${CHAIN} -gateway -maxTotalEV -1`,
      '-maxTotalEV "-1" is not an amount of wei of at least 0, nor one with a unit, such as 3000gwei or 0.000003eth',
    ],
    [`${CHAIN} -gateway -depositMultiplier 0`, '-depositMultiplier must be above 0, not 0'],
    [
      `${CHAIN} -gateway -maxPricePerUnit cheap`,
      '-maxPricePerUnit: "cheap" is not a price: write a number of at least 0, and after it a currency if it is not wei, such as 0.5USD',
    ],
    [
      '-gateway -selectRandFreq 0.5',
      '-selectStakeWeight 0.7, -selectRandFreq 0.5, -selectPriceWeight 0: the three weights must be at least 0 and add up to 1, not 1.2',
    ],
    [
      '-gateway -selectRandFreq -0.5 -selectStakeWeight 1.5',
      '-selectStakeWeight 1.5, -selectRandFreq -0.5, -selectPriceWeight 0: the three weights must be at least 0 and add up to 1, not 1',
    ],
    ['-gateway -extraNodes -1', '-extraNodes must be at least 0, not -1'],
    ['-gateway -mediaSandbox on', '-mediaSandbox must be auto, required or off, not "on"'],
    ['-gateway -discoveryTimeout 0', '-discoveryTimeout must be between 1ms and 596h, not 0ms'],
    [
      '-gateway -orchAddr a,b:c',
      '-orchAddr "b:c" is not a node address: write HOST:PORT, such as node.example:8935',
    ],
    ['-gateway -orchBlocklist 0x12', '-orchBlocklist: "0x12" is not an address: 40 hexadecimal digits'],
    [
      '-gateway -httpAddr a:b',
      '-httpAddr "a:b" is not an address to listen on: write HOST:PORT, such as 127.0.0.1:9935',
    ],
    [
      '-gateway -cliAddr 127.0.0.1:65536',
      '-cliAddr "127.0.0.1:65536" is not an address to listen on: write HOST:PORT, such as 127.0.0.1:5935',
    ],
    [
      '-gateway -cliAddr 0.0.0.0',
      'the control API would be open to other machines at -cliAddr 0.0.0.0:5935: give -cliToken, the secret that clients must send (or -cliToken none if something else protects it)',
    ],
    [
      '-gateway',
      'the control API would be open to other machines at LP_CLIADDR 10.0.0.1:7000: give -cliToken, the secret that clients must send (or -cliToken none if something else protects it)',
      { variables: { LP_CLIADDR: '10.0.0.1:7000' } },
    ],
    [
      '-gateway -cliHosts node1:7935',
      '-cliHosts "node1:7935" is not the name of a host: write it without a scheme and a port, such as node1.example',
    ],
    [
      '-gateway -cliToken token.txt',
      '-cliToken must be one word of at most 1000 letters, digits and signs',
      { files: { 'token.txt': 'two words' } },
    ],
    [
      '-gateway -cliToken token.txt',
      '-cliToken must be one word of at most 1000 letters, digits and signs',
      { files: { 'token.txt': ' \n' } },
    ],
    [
      `${CHAIN} -redeemer -httpAddr 10.0.0.1:8935`,
      'the redeemer would accept tickets from anyone who can reach -httpAddr 10.0.0.1:8935: give it and its orchestrators -redeemerSecret or -certs (or -redeemerSecret none if something else protects it, or while they are Go nodes)',
    ],
    [
      `${CHAIN} -redeemer`,
      'the redeemer would accept tickets from anyone who can reach LP_HTTPADDR 0.0.0.0:8935: give it and its orchestrators -redeemerSecret or -certs (or -redeemerSecret none if something else protects it, or while they are Go nodes)',
      { variables: { LP_HTTPADDR: '0.0.0.0:8935' } },
    ],
    [
      `${CHAIN} -redeemer -redeemerSecret secret.txt`,
      '-redeemerSecret must be one word of at most 1000 letters, digits and signs',
      { files: { 'secret.txt': 'two words' } },
    ],
    [
      `${CHAIN} ${COMBINED} -pricePerUnit 1 -redeemerAddr http://r:8935 -certs D`,
      '-redeemerAddr http://r:8935 is clear text, so certificates cannot be checked: write it with https://, or leave -certs out',
    ],
    [
      '-transcoder -orchSecret s.txt -orchAddr a,http://b:8935 -certs D',
      '-orchAddr http://b:8935 is clear text, so certificates cannot be checked: write it with https://, or leave -certs out',
    ],
    [
      '-gateway -transcodingOptions P721p30fps16x9,x',
      'No transcoding profiles found in -transcodingOptions "P721p30fps16x9,x"',
    ],
    ['-gateway -transcodingOptions=', 'No transcoding profiles found in -transcodingOptions ""'],
    [
      '-gateway -transcodingOptions p.json',
      '-transcodingOptions p.json: the file is not JSON',
      { files: { 'p.json': '[{]' } },
    ],
    [
      '-gateway -transcodingOptions p.json',
      '-transcodingOptions p.json: profile 1: "width" must be a whole number from 0 to 16384, not "640"',
      { files: { 'p.json': '[{"width":"640"}]' } },
    ],
    [
      '-gateway -transcodingOptions p.json',
      '-transcodingOptions has 11 renditions, but a transcoder makes at most 10',
      { files: { 'p.json': JSON.stringify(Array.from({ length: 11 }, (_, n) => ({ name: `p${n}` }))) } },
    ],

    // GPUs
    [
      `${COMBINED} -nvidia 0,x`,
      '-nvidia "0,x" holds "x", which is not a GPU number: give numbers such as 0,1, or all',
    ],

    // What this version cannot do yet
    [
      `${COMBINED} -netint 0`,
      '-netint is refused: the FFmpeg that comes with this node has no codecs for NETINT cards: leave it out to transcode on the CPU, or give -nvidia',
    ],

    // Recordings
    [
      '-gateway -recordStore ipfs://key@pinata.cloud',
      '-recordStore names IPFS (ipfs://), which is not supported: give the S3 interface that your pinning service offers, as in s3+https://KEY:SECRET@HOST/BUCKET',
    ],
    [
      '-gateway -recordStore /rec -recordRetention 1s',
      '-recordRetention must be 0, which keeps recordings for ever, or between 1m and 876000h, not 1000ms',
    ],
  ]
  for (const [line, sentence, rest] of refused) {
    it(`${line || 'nothing at all'}: ${sentence}`, () => {
      assert.deepEqual(load(line, rest), { exit: { code: 1, stdout: '', stderr: `${sentence}\n` } })
    })
  }

  it('and a bad command line ends with 2 (#21)', () => {
    assert.deepEqual(load('-orchestrator true -transcoder'), {
      exit: {
        code: 2,
        stdout: '',
        stderr: '"true" after -orchestrator is not its value: write -orchestrator=true\n',
      },
    })
  })
})

describe('a sentence warns', () => {
  const warned: [line: string, sentence: string][] = [
    [
      `${PUBLIC} -orchestrator -transcoder -pricePerUnit 1 -ethAcctAddr ${HOT} -ethOrchAddr ${X}`,
      `without -serviceAddr this node is advertised at the address that ${X} registered on chain: if that is a balancer's, give the node's own, or give all nodes behind it the same -store`,
    ],
    [
      '-gateway -orchAddr a -cliAddr 0.0.0.0:5935 -cliToken none',
      'the control API listens on 0.0.0.0:5935 without a token: unless something else protects it, give -cliToken, or set -cliAddr to a loopback address',
    ],
    [
      '-gateway -orchAddr a -httpAddr 0.0.0.0',
      'HTTP ingest at /live/ is off because -httpAddr 0.0.0.0:9935 is open to anyone: give -httpIngest to turn it on anyway',
    ],
    [
      '-gateway',
      'no orchestrator is given offchain, so streams are served without transcoding: give -orchAddr',
    ],
    [
      '-gateway -orchAddr a -transcodingOptions P240p30fps16x9,P720p30fps16x8',
      '-transcodingOptions: "P720p30fps16x8" is ignored: did you mean P720p30fps16x9?',
    ],
    [
      `${CHAIN} -redeemer`,
      'the redeemer listens on 127.0.0.1:8935, which only orchestrators on this machine can reach: for others set -httpAddr to an address that they can reach',
    ],
    [
      `${CHAIN} ${COMBINED} -pricePerUnit 1 -redeemerAddr r:8935,s`,
      '-redeemerAddr s names no port, so 8935 is assumed: https://s:8935',
    ],
    [`${COMBINED} -maxAttempts 5`, '-maxAttempts has no effect here: it is for a gateway'],
    ['-gateway -broadcaster -orchAddr a', '-broadcaster is an old name: write -gateway'],
  ]
  for (const [line, sentence] of warned) {
    it(`${line}: ${sentence}`, () => assert.deepEqual(settings(line).warnings, [sentence]))
  }
})

describe('flags that are harmless without a chain are accepted', () => {
  for (const line of [
    '-reward=false',
    '-pricePerUnit 0',
    '-maxPricePerUnit 0',
    '-initializeRound=false',
    '-ethUrl=',
  ]) {
    it(line, () => assert.ok(settings(`${COMBINED} ${line}`)))
  }
})

describe('the program, asked about itself,', () => {
  it('prints its versions', () => {
    assert.deepEqual(load('-version -gateway'), {
      exit: { code: 0, stdout: 'livepeer-ts 1.2.3\nNode.js v24.0.0\nlinux x64\n', stderr: '' },
    })
  })

  it('describes its flags as JSON', () => {
    const loaded = load('-j')
    assert.ok('exit' in loaded && loaded.exit.code === 0)
    const described = JSON.parse(loaded.exit.stdout)
    assert.deepEqual([described.name, described.version], ['livepeer', '1.2.3'])
    assert.deepEqual(Object.keys(described.optional), flagNames)
    assert.deepEqual(described.optional.maxAttempts, {
      name: 'maxAttempts',
      help: 'Maximum number of attempts per segment; 0 never transcodes.',
      option: '-maxAttempts',
      default: '3',
      type: 'int',
    })
  })

  it('lists every flag under its role', () => {
    const loaded = load('-help')
    assert.ok('exit' in loaded && loaded.exit.code === 0)
    for (const name of flagNames) assert.match(loaded.exit.stdout, new RegExp(`^  -${name}\\b`, 'm'))
    assert.ok(loaded.exit.stdout.indexOf('Orchestrator:') < loaded.exit.stdout.indexOf('  -serviceAddr'))
  })
})

describe('any input', () => {
  const bases = [
    '-gateway',
    COMBINED,
    `${CHAIN} -gateway`,
    `${CHAIN} ${COMBINED} -pricePerUnit 1`,
    '-transcoder',
    `${CHAIN} -redeemer`,
  ]
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string(),
    fc.webUrl(),
    fc.constantFrom('', ',', ':', '[::]:1', 'none', 'auto', '1e999', '-1', '0x', '{"gateways":[{}]}', '[{}]'),
    fc.json(),
    fc.integer().map(String),
  )
  const given = fc.tuple(fc.constantFrom(...flagNames), text).map(([name, value]) => `-${name}=${value}`)
  const env = fc.dictionary(fc.constantFrom(...flagNames.map(environmentName)), text)

  it('gives one line, also where a file has a line break in its name', () => {
    const loaded = loadSettings({
      ...{ argv: ['-gateway', '-transcodingOptions=\n'], variables: {}, homeDir: '/home/me' },
      ...{ readText: () => '', about: { version: '', runtime: '', arch: '', platform: '' } },
    })
    assert.match('exit' in loaded ? loaded.exit.stderr : '', /^-transcodingOptions "\\n": [^\n]+\n$/)
  })

  it('gives settings, or an exit with one line', () => {
    const property = fc.property(
      fc.constantFrom(...bases),
      fc.array(given, { maxLength: 4 }),
      env,
      fc.option(text),
      (base, words, variables, content) => {
        const loaded = loadSettings({
          argv: [...base.split(' '), ...words],
          variables,
          readText: () => content,
          homeDir: '/home/me',
          about: { version: '', runtime: '', arch: '', platform: '' },
        })
        if (!('exit' in loaded)) return assert.ok(loaded.roles.size > 0)
        if (loaded.exit.code !== 0) assert.match(loaded.exit.stderr, /^[^\n]+\n$/)
      },
    )
    fc.assert(property, { numRuns: 1000 })
  })

  it('for -pricePerGateway gives prices or a refusal', () => {
    const entry = fc.record(
      {
        ethaddress: fc.oneof(fc.constant(X), fc.jsonValue()),
        priceperunit: fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.jsonValue()),
        currency: fc.oneof(fc.constant('USD'), fc.jsonValue()),
        pixelsperunit: fc.oneof(fc.nat(), fc.jsonValue()),
      },
      { requiredKeys: [] },
    )
    const document = fc.oneof(fc.record({ gateways: fc.array(entry) }), fc.jsonValue())
    const property = fc.property(
      fc.oneof(
        document.map((json) => JSON.stringify(json)),
        fc.string(),
      ),
      (json) => {
        const loaded = loadSettings({
          argv: [...`${CHAIN} ${COMBINED} -pricePerUnit 1 -pricePerGateway`.split(' '), json],
          variables: {},
          readText: () => null,
          homeDir: '/home/me',
          about: { version: '', runtime: '', arch: '', platform: '' },
        })
        if ('exit' in loaded) return assert.match(loaded.exit.stderr, /^-pricePerGateway: [^\n]+\n$/)
        for (const { price, pixelsPerUnit } of loaded.orchestrator!.gatewayPrices.values()) {
          assert.ok(price.amount.sign >= 0 && pixelsPerUnit > 0n)
        }
      },
    )
    fc.assert(property, { numRuns: 1000 })
  })
})
