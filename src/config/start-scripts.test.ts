import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { flagNamed, foreignFlags, foreignKind } from './flags.ts'
import { loadSettings } from './load-settings.ts'

/**
 * Flags found in start scripts of the Go node (operations.md §1.2). Such a script must start this node too, unless the
 * node would then do something else than the script asks for.
 */

const ADDRESS = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const CHAIN = '-network arbitrum-one-mainnet -ethUrl https://rpc.example'
const GATEWAY = `${CHAIN} -gateway`
const OFFCHAIN = '-gateway -orchAddr o.example'
const ORCHESTRATOR = `${CHAIN} -orchestrator -transcoder -serviceAddr o.example:8935 -pricePerUnit 1`
const TRANSCODER = '-transcoder -orchAddr o.example -orchSecret s.txt'
const KAFKA = '-kafkaBootstrapServers k.example -kafkaGatewayTopic e -monitor'
const REDEEMER = `${CHAIN} -redeemer -httpAddr 10.0.0.1:8935 -redeemerSecret s.txt`

type Verdict = 'accepted' | RegExp | { readonly refused: RegExp }

const FOREIGN = {
  refused: /^-\w+ is for AI or remote signing, which this node does not support: leave it out$/,
}
const TUNES_AI = /^-\w+ has no effect here: it is for AI, which this node does not support$/

/** `warnings`: how many there are, of which the verdict is the first; 1 unless given. */
const scripts: readonly (readonly [base: string, flag: string, verdict: Verdict, warnings?: number])[] = [
  // Every role
  [OFFCHAIN, '-v 6', 'accepted'],
  [OFFCHAIN, '-v debug', /^-v "debug" is no log level \(0 errors, .*\): 3 is used$/],
  [OFFCHAIN, '-network offchain', 'accepted'],
  [OFFCHAIN, '-dataDir /data', 'accepted'],
  [OFFCHAIN, '-datadir /data', /^-datadir is an old name: write -dataDir$/],
  [OFFCHAIN, '-rtmpAddr 127.0.0.1:1935', 'accepted'],
  [OFFCHAIN, '-rtmpCert /certs', 'accepted'],
  [
    OFFCHAIN,
    '-rtmpCert /certs -rtmpAddr none',
    /^-rtmpCert has no effect, since -rtmpAddr none turns RTMP off$/,
  ],
  [
    OFFCHAIN,
    '-rtmpAddr 0.0.0.0:1935',
    /^anyone who can reach -rtmpAddr 0\.0\.0\.0:1935 may publish, and this gateway pays/,
  ],
  [ORCHESTRATOR, '-rtmpAddr 0.0.0.0:1935', /^-rtmpAddr has no effect here: it is for a gateway$/],
  [OFFCHAIN, '-cliAddr 127.0.0.1:7935', 'accepted'],
  [
    OFFCHAIN,
    '-cliAddr 0.0.0.0:7935',
    { refused: /would be open to other machines at -cliAddr 0\.0\.0\.0:7935/ },
  ],
  [OFFCHAIN, '-httpAddr 127.0.0.1:8936', 'accepted'],
  [OFFCHAIN, '-httpAddr 0.0.0.0:9935', /^HTTP ingest at \/live\/ is off/],
  [ORCHESTRATOR, '-httpAddr 0.0.0.0:8935', 'accepted'],
  [TRANSCODER, '-httpAddr 0.0.0.0:8935', /^-httpAddr has no effect here/],
  [TRANSCODER, '-serviceAddr o.example:8935', /^-serviceAddr has no effect here: it is for an orchestrator$/],
  [ORCHESTRATOR, '-nodes https://n.example:8935', 'accepted'],
  [`${OFFCHAIN.replace('-gateway', '')}`, '-broadcaster', /^-broadcaster is an old name: write -gateway$/],
  [ORCHESTRATOR, '-orchSecret s.txt', 'accepted'],
  [ORCHESTRATOR, '-orchSecret hush', /^-orchSecret is given as text on the command line/],
  [TRANSCODER, '-orchAddr o1.example:8935,o2.example:8935', 'accepted'],
  ['-gateway', '-orchWebhookUrl https://w.example', 'accepted'],
  [OFFCHAIN, '-orchWebhookUrl https://w.example', /^-orchAddr has no effect, since -orchWebhookUrl lists/],
  [OFFCHAIN, `-orchBlocklist ${ADDRESS}`, 'accepted'],
  [OFFCHAIN, '-orchMinLivepeerVersion 0.8.0', 'accepted'],
  [OFFCHAIN, '-extraNodes 2', 'accepted'],
  [OFFCHAIN, '-selectStakeWeight 0.5 -selectRandFreq 0.2 -selectPriceWeight 0.3', 'accepted'],
  [OFFCHAIN, '-selectPriceExpFactor 50', 'accepted'],
  [GATEWAY, '-orchPerfStatsUrl https://l.example -region FRA -minPerfScore 0.5', 'accepted'],
  [GATEWAY, '-orchPerfStatsUrl https://l.example', /^-orchPerfStatsUrl has no effect without -region/],
  [GATEWAY, '-region FRA', /^-region has no effect without -orchPerfStatsUrl/],
  [GATEWAY, '-minPerfScore 0.5', /^-minPerfScore has no effect without -orchPerfStatsUrl and -region$/],
  [OFFCHAIN, '-orchPerfStatsUrl https://l.example -region FRA', /^-orchPerfStatsUrl has no effect offchain/],
  [GATEWAY, '-maxPricePerUnit 1200', 'accepted'],
  [GATEWAY, '-ignoreMaxPriceIfNeeded', 'accepted'],
  [OFFCHAIN, '-maxPricePerUnit 1200', { refused: /^-maxPricePerUnit needs a chain/ }],
  [OFFCHAIN, '-discoveryTimeout 1s', 'accepted'],
  [OFFCHAIN, '-gatewayHost gw.example', 'accepted'],
  [OFFCHAIN, '-transcodingOptions P720p30fps16x9,P360p30fps16x9', 'accepted'],
  [OFFCHAIN, '-maxAttempts 5', 'accepted'],
  [OFFCHAIN, '-maxSessions 100', 'accepted'],
  [OFFCHAIN, '-maxSessions auto', { refused: /^-maxSessions auto is for an orchestrator or a transcoder/ }],
  [OFFCHAIN, '-currentManifest', 'accepted'],
  [ORCHESTRATOR, '-nvidia 0,1', 'accepted'],
  [
    ORCHESTRATOR,
    '-netint 0',
    { refused: /^-netint is refused: the FFmpeg that comes with this node has no/ },
  ],
  [ORCHESTRATOR, '-nvidia 0 -netint 0', { refused: /^-netint is refused/ }],
  [TRANSCODER, '-testTranscoder=false', 'accepted'],
  [TRANSCODER, '-hevcDecoding', 'accepted'],
  [OFFCHAIN, '-httpIngest', 'accepted'],
  [OFFCHAIN, '-localVerify=false', 'accepted'],
  [OFFCHAIN, '-verifierUrl https://v.example -verifierPath /v', 'accepted'],
  [OFFCHAIN, '-verifierUrl https://v.example -objectStore gs://bucket', 'accepted'],
  [
    OFFCHAIN,
    '-verifierUrl https://v.example -objectStore /data',
    { refused: /^-verifierUrl needs -verifierPath, .* or -objectStore with a bucket/ },
  ],
  [OFFCHAIN, '-verifierPath /v', /^-verifierPath has no effect without -verifierUrl$/],
  [OFFCHAIN, '-authWebhookUrl https://w.example', 'accepted'],
  [OFFCHAIN, '-authWebhookUrl https://w.example -rtmpAddr 0.0.0.0:1935 -httpAddr 0.0.0.0:9935', 'accepted'],
  [ORCHESTRATOR, '-authWebhookUrl https://w.example', 'accepted'],
  [ORCHESTRATOR, '-startupAvailabilityCheck=false', 'accepted'],

  // Every role on a chain
  [GATEWAY, '-ethUrl https://rpc2.example', 'accepted'],
  [OFFCHAIN, '-ethUrl https://rpc.example', { refused: /^-ethUrl needs a chain/ }],
  [GATEWAY, `-ethAcctAddr ${ADDRESS}`, 'accepted'],
  [GATEWAY, '-ethPassword s.txt', 'accepted'],
  [GATEWAY, '-ethPassword hush', /^-ethPassword is given as text on the command line/],
  [GATEWAY, '-ethKeystorePath /keys', 'accepted'],
  [ORCHESTRATOR, `-ethOrchAddr ${ADDRESS}`, 'accepted'],
  [GATEWAY, `-ethController ${ADDRESS}`, 'accepted'],
  [GATEWAY, '-transactionTimeout 10m', 'accepted'],
  [GATEWAY, '-maxTransactionReplacements 3', 'accepted'],
  [GATEWAY, '-gasLimit 2000000', 'accepted'],
  [GATEWAY, '-minGasPrice 1', 'accepted'],
  [GATEWAY, '-maxGasPrice 200000000', 'accepted'],
  [GATEWAY, '-blockPollingInterval 20', 'accepted'],
  [ORCHESTRATOR, '-initializeRound -initializeRoundMaxDelay 1m', 'accepted'],
  [ORCHESTRATOR, '-reward=false', 'accepted'],
  [ORCHESTRATOR, '-redeemerAddr r.example:8935', 'accepted'],
  [REDEEMER, '-monitor', 'accepted'],
  [ORCHESTRATOR, '-pricePerUnit 0.5USD -pixelsPerUnit 1e12', 'accepted'],
  [GATEWAY, `-priceFeedAddr ${ADDRESS}`, 'accepted'],
  [ORCHESTRATOR, '-autoAdjustPrice=false', 'accepted'],
  [ORCHESTRATOR, '-pricePerGateway {"gateways":[]}', 'accepted'],
  [ORCHESTRATOR, '-pricePerBroadcaster {"broadcasters":[]}', /^-pricePerBroadcaster is an old name/],
  [ORCHESTRATOR, '-ticketEV 1000000000000', 'accepted'],
  [ORCHESTRATOR, '-maxFaceValue 1000000000000000', 'accepted'],
  [GATEWAY, '-maxTicketEV 1 -maxTotalEV 1', 'accepted'],
  [GATEWAY, '-depositMultiplier 2', 'accepted'],

  // Observation
  [OFFCHAIN, '-monitor -metricsPerStream -metricsClientIP', 'accepted'],
  [OFFCHAIN, '-objectStore s3://a:b@region/bucket', /^-objectStore is given as text on the command line/],
  [OFFCHAIN, '-objectStore /data/segments', 'accepted'],
  [ORCHESTRATOR, '-objectStore gs://bucket', 'accepted'],
  [ORCHESTRATOR, '-objectStore /data', { refused: /^-objectStore of an orchestrator is a bucket/ }],
  [OFFCHAIN, '-objectStore ipfs://a:b@c', { refused: /^-objectStore names IPFS/ }],
  [OFFCHAIN, '-kafkaBootstrapServers k1.example:9092,k2.example -kafkaGatewayTopic e -monitor', 'accepted'],
  [OFFCHAIN, `${KAFKA} -kafkaUser me -kafkaPassword s.txt`, 'accepted'],
  [OFFCHAIN, `${KAFKA} -kafkaUser me -kafkaPassword hush`, /^-kafkaPassword is given as text on the command/],
  [OFFCHAIN, `${KAFKA} -kafkaUser me`, { refused: /^-kafkaUser needs -kafkaPassword: with both, events go/ }],
  [OFFCHAIN, `${KAFKA} -kafkaPassword s.txt`, { refused: /^-kafkaPassword needs -kafkaUser: with both/ }],
  [
    OFFCHAIN,
    '-kafkaUser me',
    /^-kafkaUser has no effect without -monitor, -kafkaBootstrapServers and -kafkaG/,
  ],
  [
    OFFCHAIN,
    '-kafkaBootstrapServers k.example -kafkaUser me -monitor',
    /^-kafkaBootstrapServers and -kafkaUser have no effect without -kafkaGatewayTopic$/,
  ],
  [OFFCHAIN, '-kafkaBootstrapServers k.example -kafkaGatewayTopic e', /have no effect without -monitor$/],
  [
    OFFCHAIN,
    '-kafkaBootstrapServers k:x -kafkaGatewayTopic e -monitor',
    { refused: /not an address: write HOST/ },
  ],
  [
    OFFCHAIN,
    '-kafkaBootstrapServers k -kafkaGatewayTopic a/b -monitor',
    { refused: /not the name of a topic/ },
  ],
  [ORCHESTRATOR, KAFKA, /^-kafkaBootstrapServers has no effect here: it is for a gateway$/, 2],
  [OFFCHAIN, '-metadataQueueUri amqp://q.example', 'accepted'],
  [
    OFFCHAIN,
    '-metadataQueueUri amqps://me:hush@q.example:5671/vhost',
    /^-metadataQueueUri is given with a password/,
  ],
  [
    OFFCHAIN,
    '-metadataQueueUri amqp://q.example -metadataAmqpExchange x -metadataPublishTimeout 2s',
    'accepted',
  ],
  [
    OFFCHAIN,
    '-metadataQueueUri http://q.example',
    { refused: /^-metadataQueueUri is neither a URL such as amqp:/ },
  ],
  [OFFCHAIN, '-metadataAmqpExchange x', /^-metadataAmqpExchange has no effect without -metadataQueueUri$/],
  [
    OFFCHAIN,
    '-metadataPublishTimeout 2s',
    /^-metadataPublishTimeout has no effect without -metadataQueueUri$/,
  ],
  [OFFCHAIN, '-metadataAmqpExchange lp_golivepeer_metadata -metadataPublishTimeout 1s', 'accepted'],
  // What the operator wants to keep there would be lost.
  [OFFCHAIN, '-recordStore s3://a:b@region/bucket', /^-recordStore is given as text on the command line/],
  [OFFCHAIN, '-recordStore /recordings -recordRetention 720h', 'accepted'],
  [OFFCHAIN, '-recordRetention 720h', /^-recordRetention has no effect without -recordStore/],
  [OFFCHAIN, '-FVfailGsbucket bucket', 'accepted'],
  [OFFCHAIN, '-FVfailGskey k', /^-FVfailGskey has no effect without -FVfailGsbucket/],

  // AI, live runners and remote signing: roles and registries are refused, tuning flags are ignored
  ...[...foreignFlags].flatMap(([name, kind]) => [
    [GATEWAY, kind === 'bool' ? `-${name}` : `-${name} x`, FOREIGN] as const,
    [GATEWAY, `-${name}=${kind === 'bool' ? 'false' : ''}`, TUNES_AI] as const,
  ]),
  [
    GATEWAY,
    '-aiWorker=false -aiModels= -remoteSigner=false',
    /^-aiWorker, -aiModels and -remoteSigner have no effect/,
  ],
  [ORCHESTRATOR, '-aiVerboseLogs', TUNES_AI],
  [ORCHESTRATOR, '-aiVerboseLogs=false', TUNES_AI],
  ...`aiModelsDir aiRunnerImage aiRunnerImageOverrides aiProcessingRetryTimeout aiRunnerContainersPerGPU
  aiMinRunnerVersion maxPricePerCapability liveRunnerProxyUrl liveRunnerAddr mediaMTXApiPassword
  liveAITrickleHostForRunner liveAIAuthApiKey liveAIAuthWebhookUrl liveAIHeartbeatURL liveAIHeartbeatHeaders
  liveAIHeartbeatInterval livePaymentInterval liveOutSegmentTimeout liveAISaveNSegments liveAICapRefreshModels
  liveAICapReportInterval`
    .split(/\s+/)
    .flatMap((name) => [
      [GATEWAY, `-${name} 1`, TUNES_AI] as const,
      [GATEWAY, `-${name}=hush -${name}=hush`, TUNES_AI] as const,
    ]),
]

function load(line: string, file: string | null = null) {
  const about = { version: '', runtime: '', arch: '', platform: '' }
  const readText = (path: string) => (path === 's.txt' ? 's' : path === 'node.conf' ? file : null)
  return loadSettings({ argv: line.trim().split(/ +/), variables: {}, readText, homeDir: '/home/me', about })
}

for (const [base, flag, verdict, warnings = 1] of scripts) {
  const kind = verdict === 'accepted' ? verdict : verdict instanceof RegExp ? 'one warning' : 'refused'
  test(`${flag}: ${kind} (${base})`, () => {
    const loaded = load(`${base} ${flag}`)
    if (verdict !== 'accepted' && !(verdict instanceof RegExp)) {
      assert.ok('exit' in loaded, 'it starts')
      assert.match(loaded.exit.stderr.trimEnd(), verdict.refused)
      return
    }
    if ('exit' in loaded) assert.fail(loaded.exit.stderr)
    const wanted = verdict === 'accepted' ? 0 : warnings
    assert.equal(loaded.warnings.length, wanted, loaded.warnings.join('\n'))
    if (verdict !== 'accepted') assert.match(loaded.warnings[0]!, verdict)
    assert.doesNotMatch(loaded.warnings.join(), /hush/)
  })
}

test('a configuration file may contain them too', () => {
  const file =
    'gateway\norchAddr o.example\nrtmpAddr 0.0.0.0:1935\nliveAICapReportInterval 5m\naiVerboseLogs\n'
  const loaded = load('-config node.conf', file)
  if ('exit' in loaded) assert.fail(loaded.exit.stderr)
  assert.deepEqual(loaded.warnings, [
    'liveAICapReportInterval in line 4 of node.conf and aiVerboseLogs in line 5 of node.conf have no effect here: they are for AI, which this node does not support',
    'anyone who can reach rtmpAddr in line 3 of node.conf 0.0.0.0:1935 may publish, and this gateway pays: let only your publishers reach it, or give -authWebhookUrl',
  ])
})

/** The names in code marks in some lines of a document. */
function namesIn(lines: readonly string[]): string[] {
  return lines.flatMap((line) => [...line.matchAll(/`(\w+)`/g)].map(([, name]) => name!))
}

const page = readFileSync(new URL('../../docs/protocol/operations.md', import.meta.url), 'utf8').split('\n')
const from = (heading: string) => page.slice(page.findIndex((line) => line.startsWith(heading)) + 1)

test('every flag of the Go node is covered above, and is a flag here or one for AI', () => {
  const table = from('### 1.2')
  const rows = table
    .slice(
      0,
      table.findIndex((line) => line.startsWith('###')),
    )
    .filter((line) => /^\| `/.test(line))
  const names = namesIn(rows.map((row) => row.split('|')[1]!))
  assert.ok(names.length > 80, `${names.length} flags`)
  assert.deepEqual(
    names.filter((name) => !flagNamed(name)),
    [],
  )
  const written = scripts.map(([base, flag]) => `${base} ${flag}`).join(' ')
  const listed = new Set([...written.matchAll(/(?:^| )-(\w+)/g)].map(([, name]) => flagNamed(name!)))
  const elsewhere = ['config', 'version', 'j', 'redeemer']
  assert.deepEqual(
    names.filter((name) => !listed.has(flagNamed(name)) && !elsewhere.includes(name)),
    [],
  )
  const foreign = namesIn(from('## Appendix: flags')).filter((name) => /^[a-z]+[A-Z]/.test(name))
  assert.ok(foreign.length > 30, `${foreign.length} flags`)
  assert.deepEqual(
    foreign.filter((name) => foreignKind(name) === null),
    [],
  )
})
