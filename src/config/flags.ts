/** What a flag's value is, and how it is written (operations.md §1.1). `tri` kinds tell "not given" from every value. */
export type FlagKind =
  | 'bool'
  | 'tri-bool'
  | 'int'
  | 'tri-int'
  | 'float'
  | 'duration'
  | 'string'
  | 'tri-string'

/** The chapter of the help in which a flag stands; those that end in "on chain" need a network. */
export type FlagGroup =
  | 'every role'
  | 'every role on chain'
  | 'gateway'
  | 'gateway on chain'
  | 'orchestrator'
  | 'orchestrator on chain'
  | 'transcoding'
  | 'observation'

/** A role as flags know it. */
export type FlagRole = 'gateway' | 'orchestrator' | 'transcoder' | 'redeemer'

interface FlagOptions {
  /** Roles that read it, where they are others than the group's; a flag without roles is read by all. */
  readonly roles?: readonly FlagRole[]
  /** Needs a network other than offchain although its group does not say so. */
  readonly chain?: true
  /** The value must never be printed. */
  readonly secret?: true
  /** The name of a readable file stands for the file's content. */
  readonly orPath?: true
  /** Not supported by this version: what to do instead. */
  readonly later?: string
  /** What the value is called in the help, such as `HOST:PORT`. */
  readonly value?: string
}

/** One line of the table. */
export interface Flag<Kind extends FlagKind = FlagKind> extends FlagOptions {
  readonly kind: Kind
  /** As it would be written on the command line; null where "not given" is a value of its own. */
  readonly default: string | null
  readonly group: FlagGroup
  readonly help: string
}

function bool(byDefault: boolean, group: FlagGroup, help: string, options: FlagOptions = {}): Flag<'bool'> {
  return { kind: 'bool', default: String(byDefault), group, help, ...options }
}

function triBool(group: FlagGroup, help: string, options: FlagOptions = {}): Flag<'tri-bool'> {
  return { kind: 'tri-bool', default: null, group, help, ...options }
}

function int(byDefault: number, group: FlagGroup, help: string, options: FlagOptions = {}): Flag<'int'> {
  return { kind: 'int', default: String(byDefault), group, help, ...options }
}

function triInt(group: FlagGroup, help: string, options: FlagOptions = {}): Flag<'tri-int'> {
  return { kind: 'tri-int', default: null, group, help, ...options }
}

function float(byDefault: string, group: FlagGroup, help: string, options: FlagOptions = {}): Flag<'float'> {
  return { kind: 'float', default: byDefault, group, help, ...options }
}

function duration(
  byDefault: string,
  group: FlagGroup,
  help: string,
  options: FlagOptions = {},
): Flag<'duration'> {
  return { kind: 'duration', default: byDefault, group, help, ...options }
}

function text(byDefault: string, group: FlagGroup, help: string, options: FlagOptions = {}): Flag<'string'> {
  return { kind: 'string', default: byDefault, group, help, ...options }
}

function triText(group: FlagGroup, help: string, options: FlagOptions = {}): Flag<'tri-string'> {
  return { kind: 'tri-string', default: null, group, help, ...options }
}

/**
 * Every flag of the node, AI aside: the command line, the environment, the configuration file, `-help` and
 * docs/flags.md are all read from here (names, defaults and meanings: operations.md §1.2).
 */
export const flags = {
  // Roles
  gateway: bool(false, 'every role', 'Run a gateway: take streams in and buy their transcoding.'),
  orchestrator: bool(false, 'every role', 'Run an orchestrator: sell transcoding.'),
  transcoder: bool(
    false,
    'every role',
    'With -orchestrator: transcode in this process. Alone: work for the orchestrator at -orchAddr.',
  ),
  redeemer: bool(false, 'every role', 'Run a redeemer: redeem the winning tickets of orchestrators.', {
    chain: true,
  }),
  reward: triBool(
    'every role',
    'Call reward every round (true) or never (false). Not given: if the account is a registered orchestrator.',
    { chain: true },
  ),
  initializeRound: bool(false, 'every role', 'Initialise rounds when they are due.', { chain: true }),

  // Every role
  network: text(
    'offchain',
    'every role',
    'The chain to work on: arbitrum-one-mainnet, mainnet, one of the dead test networks, any other word together with -ethController, or offchain for none.',
    { value: 'NAME' },
  ),
  dataDir: text(
    '',
    'every role',
    'Folder of database, keystore and certificates. Empty: ~/.lpData/NETWORK.',
    {
      value: 'DIR',
    },
  ),
  drainTimeout: duration(
    '30s',
    'every role',
    'How long running streams and tasks may go on after SIGTERM; a second one, or SIGINT, ends the node at once.',
    { roles: ['orchestrator', 'transcoder'] },
  ),
  cliAddr: text(
    '',
    'every role',
    'Where the control API listens. Empty: on the loopback, port 5935 for a gateway, 7935 orchestrator, 6935 transcoder, 4935 redeemer, 2935 reward and rounds.',
    { value: 'HOST:PORT' },
  ),
  cliToken: text(
    '',
    'every role',
    'Secret that the control API asks for, or a file with it. Needed where -cliAddr is not on the loopback; none: something else guards it.',
    { secret: true, orPath: true, value: 'TEXT|FILE' },
  ),
  httpAddr: text(
    '',
    'every role',
    'Where the node listens for its peers. Empty: gateway 127.0.0.1:9935, redeemer 127.0.0.1:8935, orchestrator all interfaces at the port of its service address; with http:// before it an orchestrator serves clear text.',
    { roles: ['gateway', 'orchestrator', 'redeemer'], value: 'HOST:PORT' },
  ),
  certs: text(
    '',
    'every role',
    'This node’s folder of certificates, made by livepeer certs. With it, a redeemer serves, and an orchestrator takes in as transcoders, only nodes that have such a folder too, and both ends are verified. Gateways need none.',
    { roles: ['orchestrator', 'transcoder', 'redeemer'], value: 'DIR' },
  ),
  maxSessions: text(
    '10',
    'every role',
    'How many streams at once. auto: with -transcoder as many as this machine sustains in real time, measured at the start with -transcodingOptions and from then on by its work; an orchestrator adds what its transcoders elsewhere take.',
    { roles: ['gateway', 'orchestrator', 'transcoder'], value: 'N' },
  ),
  config: text('', 'every role', 'File with one setting a line: its name, a space, its value.', {
    value: 'FILE',
  }),
  v: text('3', 'every role', 'How much to log: 0 errors, 2 warnings, 3 information, 5 everything.', {
    value: 'LEVEL',
  }),
  version: bool(false, 'every role', 'Print versions and end.'),
  j: bool(false, 'every role', 'Print the flags as JSON and end.'),

  // Every role on chain
  ethUrl: text(
    '',
    'every role on chain',
    'JSON-RPC endpoints of the chain, the preferred one first: http, https, ws or wss URLs, or paths of IPC sockets.',
    {
      value: 'URL,…',
    },
  ),
  ethAcctAddr: text('', 'every role on chain', 'The account to use. Empty: the first of the keystore.', {
    value: 'ADDRESS',
  }),
  ethKeystorePath: text(
    '',
    'every role on chain',
    'Folder of keys, or one key file. Empty: keystore in the data folder.',
    {
      value: 'PATH',
    },
  ),
  ethPassword: text(
    '',
    'every role on chain',
    'Password of the account, or a file with it. Empty: the empty password, then a question on the terminal.',
    { secret: true, orPath: true, value: 'TEXT|FILE' },
  ),
  ethOrchAddr: text(
    '',
    'every role on chain',
    'The registered orchestrator for which this node works, if that is not the own account: tickets pay it.',
    { value: 'ADDRESS' },
  ),
  ethController: text(
    '',
    'every role on chain',
    'The protocol’s Controller contract. Empty: the known one of -network.',
    { value: 'ADDRESS' },
  ),
  transactionTimeout: duration(
    '5m',
    'every role on chain',
    'How long to wait for one attempt of a transaction.',
  ),
  maxTransactionReplacements: int(
    1,
    'every role on chain',
    'How often a transaction that is not mined is sent again with higher fees.',
  ),
  gasLimit: int(0, 'every role on chain', 'Gas limit of transactions; 0 estimates it.'),
  minGasPrice: triInt(
    'every role on chain',
    'Least gas price to reckon with, in wei. Not given: 1 gwei on mainnet, 0 elsewhere.',
    { value: 'WEI' },
  ),
  maxGasPrice: int(
    0,
    'every role on chain',
    'Gas price in wei above which no transaction is sent. 0: ten times the median price of the last hour, at least 2 gwei and at most 500 (Arbitrum One: 20). A redemption never costs more than its tickets pay, and until its last chance half of that.',
    {
      value: 'WEI',
    },
  ),
  blockPollingInterval: int(5, 'every role on chain', 'Seconds between looks at the chain.', {
    value: 'SECONDS',
  }),
  initializeRoundMaxDelay: duration(
    '30s',
    'every role on chain',
    'Longest random wait before a round is initialised, so that not all do it at once.',
  ),
  priceFeedAddr: text(
    '0x639Fe6ab55C921f74e7fac1ee960C0B6293ba612',
    'every role on chain',
    'Chainlink feed with which prices in other currencies are turned into wei.',
    { roles: ['gateway', 'orchestrator'], value: 'ADDRESS' },
  ),
  pixelsPerUnit: text('1', 'every role on chain', 'Pixels for which the price per unit is meant.', {
    roles: ['gateway', 'orchestrator'],
    value: 'N',
  }),

  // Gateway
  rtmpAddr: text('', 'gateway', 'Where RTMP is taken in.', {
    later: 'leave it out and push segments over HTTP to /live/',
    value: 'HOST:PORT',
  }),
  orchAddr: text(
    '',
    'gateway',
    'Orchestrators to work with. A standalone transcoder works for the first of them.',
    { roles: ['gateway', 'transcoder'], value: 'HOST:PORT,…' },
  ),
  orchWebhookUrl: text('', 'gateway', 'Where to ask for the list of orchestrators.', {
    later: 'leave it out and list the orchestrators in -orchAddr',
    value: 'URL',
  }),
  orchBlocklist: text('', 'gateway', 'Addresses of orchestrators to leave aside.', { value: 'ADDRESS,…' }),
  orchMinLivepeerVersion: text('', 'gateway', 'Least version that an orchestrator must tell.', {
    value: 'VERSION',
  }),
  extraNodes: int(
    0,
    'gateway',
    'How many of the further instances that an orchestrator names to ask as well.',
  ),
  discoveryTimeout: duration('500ms', 'gateway', 'First wait for the answers of orchestrators.'),
  selectStakeWeight: float('0.7', 'gateway', 'Weight of stake in choosing an untried orchestrator.'),
  selectRandFreq: float('0.3', 'gateway', 'Weight of chance in choosing an untried orchestrator.'),
  selectPriceWeight: float('0', 'gateway', 'Weight of price in choosing an untried orchestrator.'),
  selectPriceExpFactor: float('100', 'gateway', 'How sharply the price counts.'),
  orchPerfStatsUrl: text('', 'gateway', 'Where to read performance scores of orchestrators.', {
    later: 'leave it out',
    value: 'URL',
  }),
  region: text('', 'gateway', 'Region whose performance scores count.', { later: 'leave it out' }),
  minPerfScore: float('0', 'gateway', 'Least performance score of an orchestrator.', {
    later: 'leave it out',
  }),
  gatewayHost: text('', 'gateway', 'Public host name of this gateway, told to outside services.', {
    later: 'leave it out',
    value: 'HOST',
  }),
  transcodingOptions: text(
    'P240p30fps16x9,P360p30fps16x9',
    'gateway',
    'Renditions of a stream: names of presets, or a JSON file with profiles. For a transcoder: what -maxSessions auto is measured with.',
    { roles: ['gateway', 'transcoder'], value: 'NAME,…|FILE' },
  ),
  maxAttempts: int(3, 'gateway', 'How often a segment is tried; 0 never transcodes.'),
  currentManifest: bool(false, 'gateway', 'Serve the newest stream as /stream/current.m3u8 too.'),
  httpIngest: triBool(
    'gateway',
    'Take segments in at /live/. Not given: yes, unless the gateway can be reached from outside and asks no webhook.',
  ),
  localVerify: triBool(
    'gateway',
    'Check pixels and signatures of what comes back. Not given: yes on chain, no offchain.',
  ),
  authWebhookUrl: text('', 'gateway', 'Where to ask who may stream, or whom to serve.', {
    roles: ['gateway', 'orchestrator'],
    later: 'leave it out',
    value: 'URL',
  }),
  verifierUrl: text('', 'gateway', 'External verifier of results.', { later: 'leave it out', value: 'URL' }),
  verifierPath: text('', 'gateway', 'Folder shared with the external verifier.', {
    later: 'leave it out',
    value: 'DIR',
  }),
  objectStore: text('', 'gateway', 'Object store for segments.', {
    roles: ['gateway', 'orchestrator', 'transcoder'],
    later: 'leave it out to keep segments in memory',
    value: 'URL',
  }),
  recordStore: text('', 'gateway', 'Object store for recordings.', {
    later: 'leave it out',
    value: 'URL',
  }),
  metadataQueueUri: text('', 'gateway', 'AMQP queue for events of streams.', {
    later: 'leave it out',
    secret: true,
    value: 'URL',
  }),
  metadataAmqpExchange: text('lp_golivepeer_metadata', 'gateway', 'Exchange of that queue.', {
    later: 'leave it out',
  }),
  metadataPublishTimeout: duration('1s', 'gateway', 'How long to try to publish to that queue.', {
    later: 'leave it out',
  }),
  FVfailGsbucket: text('', 'gateway', 'Google bucket for segments that failed fast verification.', {
    later: 'leave it out',
  }),
  FVfailGskey: text('', 'gateway', 'Key of that bucket.', { later: 'leave it out', secret: true }),

  // Gateway on chain
  maxPricePerUnit: text(
    '0',
    'gateway on chain',
    'Highest price per -pixelsPerUnit pixels, in wei or with a currency as in 0.5USD; 0 is any.',
    { value: 'PRICE' },
  ),
  ignoreMaxPriceIfNeeded: bool(
    false,
    'gateway on chain',
    'Take dearer orchestrators when there are no others.',
  ),
  maxTicketEV: text('3000000000000', 'gateway on chain', 'Highest expected value of one ticket.', {
    value: 'WEI',
  }),
  maxTotalEV: text('20000000000000', 'gateway on chain', 'Highest expected value of one payment.', {
    value: 'WEI',
  }),
  depositMultiplier: int(
    1,
    'gateway on chain',
    'How many times the deposit must cover the face value of a ticket.',
  ),

  // Orchestrator
  serviceAddr: text(
    '',
    'orchestrator',
    'Address at which gateways reach this node. Empty: the one registered on chain. none: take no work, only name -nodes.',
    { value: 'HOST:PORT' },
  ),
  nodes: text('', 'orchestrator', 'Further instances of the same operator, told to gateways.', {
    value: 'HOST:PORT,…',
  }),
  orchSecret: text(
    '',
    'orchestrator',
    'Secret that transcoders show to their orchestrator, or a file with it. With it, an orchestrator takes in transcoders of other machines.',
    {
      roles: ['orchestrator', 'transcoder'],
      secret: true,
      orPath: true,
      value: 'TEXT|FILE',
    },
  ),
  startupAvailabilityCheck: bool(true, 'orchestrator', 'Call the own service address after the start.'),
  rotateSecrets: bool(
    false,
    'orchestrator',
    'Begin with new secrets behind ticket params and auth tokens; what was given out before is good for an hour more.',
  ),

  // Orchestrator on chain
  pricePerUnit: triText(
    'orchestrator on chain',
    'Price per -pixelsPerUnit pixels, in wei or with a currency as in 0.5USD. Needed on chain; 0 works for free.',
    { value: 'PRICE' },
  ),
  pricePerGateway: text(
    '',
    'orchestrator on chain',
    'Prices for certain gateways, as JSON or a file of it: {"gateways":[{"ethaddress":"0x…","priceperunit":1,"currency":"wei","pixelsperunit":1}]}.',
    { orPath: true, value: 'JSON|FILE' },
  ),
  autoAdjustPrice: bool(true, 'orchestrator on chain', 'Add what redeeming costs to the price.'),
  ticketEV: text('8000000000', 'orchestrator on chain', 'Expected value of a ticket.', { value: 'WEI' }),
  maxFaceValue: text('0', 'orchestrator on chain', 'Highest face value of a ticket; 0 is no limit.', {
    value: 'WEI',
  }),
  redeemerAddr: text(
    '',
    'orchestrator on chain',
    'Redeemers that redeem for this node: any of them, the first preferred. Empty: it redeems itself.',
    { value: 'HOST:PORT,…' },
  ),
  redeemerSecret: text(
    '',
    'orchestrator on chain',
    'Secret that orchestrators show to their redeemer, or a file with it. Empty: none is asked for.',
    { roles: ['orchestrator', 'redeemer'], secret: true, orPath: true, value: 'TEXT|FILE' },
  ),
  importTicketQueue: text(
    '',
    'orchestrator on chain',
    'Database of a Go node, lpdb.sqlite3, whose open winning tickets are taken over at the start. It is only read.',
    { roles: ['orchestrator', 'redeemer'], value: 'FILE' },
  ),

  // Transcoding
  nvidia: text('', 'transcoding', 'Nvidia GPUs to transcode on, by number, or all.', { value: 'ID,…' }),
  netint: text('', 'transcoding', 'NETINT cards to transcode on.', {
    later: 'leave it out to transcode on the CPU',
    value: 'ID,…',
  }),
  testTranscoder: bool(true, 'transcoding', 'Try the GPUs out at the start.'),
  hevcDecoding: triBool(
    'transcoding',
    'Offer to decode HEVC, where that was found to work; false never does.',
  ),

  // Observation
  monitor: bool(false, 'observation', 'Serve metrics at /metrics of the control API.'),
  metricsPerStream: bool(false, 'observation', 'Tell streams and senders apart in metrics.'),
  metricsClientIP: bool(false, 'observation', 'Tell clients apart in metrics; includes -metricsPerStream.'),
  kafkaBootstrapServers: text('', 'observation', 'Kafka servers for events.', { later: 'leave it out' }),
  kafkaUser: text('', 'observation', 'User at Kafka.', { later: 'leave it out' }),
  kafkaPassword: text('', 'observation', 'Password at Kafka.', { later: 'leave it out', secret: true }),
  kafkaGatewayTopic: text('', 'observation', 'Kafka topic for events.', { later: 'leave it out' }),
} as const satisfies Record<string, Flag>

/** Other spellings, all of them old, and the flag that each stands for. */
export const oldNames = {
  broadcaster: 'gateway',
  datadir: 'dataDir',
  pricePerBroadcaster: 'pricePerGateway',
} as const satisfies Record<string, keyof typeof flags>

/** Name of a flag. */
export type FlagName = keyof typeof flags

/** The flags' names in the order of the table. */
export const flagNames = Object.keys(flags) as readonly FlagName[]

/** The name under which a flag stands in the table, for its name or an old one; null for what is no flag. */
export function flagNamed(name: string): FlagName | null {
  if (Object.hasOwn(flags, name)) return name as FlagName
  return Object.hasOwn(oldNames, name) ? oldNames[name as keyof typeof oldNames] : null
}

type ValueOf<Kind extends FlagKind> = {
  bool: boolean
  'tri-bool': boolean | null
  int: bigint
  'tri-int': bigint | null
  float: number
  /** Milliseconds. */
  duration: number
  string: string
  'tri-string': string | null
}[Kind]

/** A value for every flag, by name. */
export type FlagValues = { readonly [Name in FlagName]: ValueOf<(typeof flags)[Name]['kind']> }

/** Whether a flag is without effect offchain. */
export function needsChain(flag: Flag): boolean {
  return flag.chain === true || flag.group.endsWith('on chain')
}

/** The roles that read a flag; null for all. */
export function rolesOf(flag: Flag): readonly FlagRole[] | null {
  if (flag.roles) return flag.roles
  if (flag.group.startsWith('gateway')) return ['gateway']
  if (flag.group.startsWith('orchestrator')) return ['orchestrator']
  if (flag.group === 'transcoding') return ['transcoder']
  return null
}

/** Flags of the network's other node that this one will not have: AI, live runners, remote signing (operations.md, appendix). */
export const foreignFlags: ReadonlySet<string> = new Set(
  `aiServiceRegistry aiWorker aiServerless aiModels aiModelsDir aiRunnerImage aiRunnerImageOverrides aiVerboseLogs
  aiProcessingRetryTimeout aiRunnerContainersPerGPU aiMinRunnerVersion maxPricePerCapability useLiveRunners
  liveRunnerConfig liveRunnerProxyUrl liveRunnerAddr mediaMTXApiPassword liveAITrickleHostForRunner liveAIAuthApiKey
  liveAIAuthWebhookUrl liveAIHeartbeatURL liveAIHeartbeatHeaders liveAIHeartbeatInterval livePaymentInterval
  liveOutSegmentTimeout liveAISaveNSegments liveAICapRefreshModels liveAICapReportInterval remoteSigner
  remoteSignerUrl remoteSignerHeaders remoteSignerWebhookUrl remoteSignerWebhookHeaders remoteSignerAllowNoAuth
  remoteDiscovery`.split(/\s+/),
)
