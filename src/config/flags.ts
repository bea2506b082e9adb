/**
 * The type of a flag's value and its syntax (operations.md §1.1). The `tri` kinds distinguish "not given" from every
 * value. `wei` and `seconds` are whole numbers in the Go node; here they may have a unit.
 */
export type FlagKind =
  | 'bool'
  | 'tri-bool'
  | 'int'
  | 'wei'
  | 'tri-wei'
  | 'seconds'
  | 'float'
  | 'duration'
  | 'string'
  | 'tri-string'

/** The section of the help that lists a flag; those that end in "on chain" need a network. */
export type FlagGroup =
  | 'every role'
  | 'every role on chain'
  | 'gateway'
  | 'gateway on chain'
  | 'orchestrator'
  | 'orchestrator on chain'
  | 'transcoding'
  | 'observation'

/** The roles that flags belong to. */
export type FlagRole = 'gateway' | 'orchestrator' | 'transcoder' | 'redeemer'

interface FlagOptions {
  /** The roles that read it, if they differ from the group's. A flag without roles is read by all. */
  readonly roles?: readonly FlagRole[]
  /** Needs a network other than offchain, unlike the rest of its group. */
  readonly chain?: true
  /** The value must never be printed. */
  readonly secret?: true
  /** Each time that it is given adds a value, with a comma between. */
  readonly repeats?: true
  /** If the value is the name of a readable file, the file's content is the value. */
  readonly orPath?: true
  /** Can do nothing in this node, ever, and is refused; the text says why. */
  readonly refused?: string
  /** The placeholder for the value in the help, such as `HOST:PORT`. */
  readonly value?: string
}

/** One row of the table. */
export interface Flag<Kind extends FlagKind = FlagKind> extends FlagOptions {
  readonly kind: Kind
  /** As written on the command line; null when "not given" is a value of its own. */
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

function wei(byDefault: number, group: FlagGroup, help: string, options: FlagOptions = {}): Flag<'wei'> {
  return { kind: 'wei', default: String(byDefault), group, help, value: 'WEI', ...options }
}

function triWei(group: FlagGroup, help: string, options: FlagOptions = {}): Flag<'tri-wei'> {
  return { kind: 'tri-wei', default: null, group, help, value: 'WEI', ...options }
}

function seconds(
  byDefault: number,
  group: FlagGroup,
  help: string,
  options: FlagOptions = {},
): Flag<'seconds'> {
  return { kind: 'seconds', default: String(byDefault), group, help, value: 'SECONDS', ...options }
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
 * Every flag of the node except for AI. The command line, the environment, the configuration file, `-help` and
 * docs/flags.md all come from this table (names, defaults and meanings: operations.md §1.2).
 */
export const flags = {
  // Roles
  gateway: bool(false, 'every role', 'Run a gateway: take in streams and buy transcoding for them.'),
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
    'Call reward every round (true) or never (false). Not given: call it if the account is a registered orchestrator.',
    { chain: true },
  ),
  initializeRound: bool(false, 'every role', 'Initialise rounds when they are due.', { chain: true }),

  // Every role
  network: text(
    'offchain',
    'every role',
    'The chain to use: arbitrum-one-mainnet, mainnet, a retired test network, any other name together with -ethController, or offchain for none.',
    { value: 'NAME' },
  ),
  dataDir: text(
    '',
    'every role',
    'Folder of the database, keystore and certificates. Empty: ~/.lpData/NETWORK.',
    {
      value: 'DIR',
    },
  ),
  store: text(
    '',
    'every role',
    'PostgreSQL database that the nodes of a cluster share, or a file with its URL. Empty: the node keeps an SQLite file in -dataDir.',
    { orPath: true, value: 'URL|FILE' },
  ),
  storeSchema: text('livepeer', 'every role', 'Schema of that database which holds the cluster’s tables.', {
    value: 'NAME',
  }),
  storeSessionUrl: text(
    '',
    'every role',
    'URL of the same database for the connections that need a session of their own, or a file with it, where -store names a pooler that shares connections by transaction. Empty: -store.',
    { orPath: true, value: 'URL|FILE' },
  ),
  clusterAddr: text(
    '',
    'every role',
    'Address at which the other nodes of a cluster reach this one. Empty: its own listen address, or where it listens at all of them, this machine’s address on the way to the database of -store.',
    { value: 'HOST:PORT' },
  ),
  storeGrace: duration(
    '60s',
    'every role',
    'How long an orchestrator goes on with the sessions that it knows while the database of -store is away; their payments are kept in a journal in -dataDir. 0: not at all.',
    { roles: ['orchestrator'] },
  ),
  storeGraceValue: wei(
    1_000_000_000_000_000,
    'every role',
    'The work that an orchestrator begins for one gateway in that time, in wei.',
    { roles: ['orchestrator'] },
  ),
  drainTimeout: duration(
    '30s',
    'every role',
    'How long running streams and tasks may continue after SIGTERM. A second SIGTERM, or SIGINT, stops the node at once.',
    { roles: ['orchestrator', 'transcoder'] },
  ),
  drainNotice: duration(
    '3s',
    'every role',
    'How long an orchestrator with live streams goes on as before while /healthz is red already, so that balancers stop choosing it before it refuses or closes anything; at most -drainTimeout.',
    { roles: ['orchestrator'] },
  ),
  cliAddr: text(
    '',
    'every role',
    'Address of the control API. Empty: loopback, port 5935 for a gateway, 7935 orchestrator, 6935 transcoder, 4935 redeemer, 2935 reward and rounds.',
    { value: 'HOST:PORT' },
  ),
  cliToken: text(
    '',
    'every role',
    'Secret that clients of the control API must send, or a file with it. Required if -cliAddr is not a loopback address; none: no secret, because something else protects it.',
    { secret: true, orPath: true, value: 'TEXT|FILE' },
  ),
  cliHosts: text(
    '',
    'every role',
    'Names by which the control API may be called, with commas between. Without a token, changes are made only under an address, localhost or one of these, so that no web page can reach it under a name of its own.',
    { value: 'HOST,HOST' },
  ),
  alert: text(
    '',
    'every role',
    'Where to tell what needs action: a URL, or a file with one on each line; may be given several times. https:// takes JSON; slack+https://, discord+https:// and alertmanager+https:// their own forms; http works too. Each thing is told once when it begins and once when it is over.',
    { secret: true, orPath: true, repeats: true, value: 'URL|FILE' },
  ),
  httpAddr: text(
    '',
    'every role',
    'Address on which the node listens for its peers. Empty: gateway 127.0.0.1:9935, redeemer 127.0.0.1:8935, orchestrator all interfaces on the port of its service address. With http:// in front, an orchestrator serves clear text.',
    { roles: ['gateway', 'orchestrator', 'redeemer'], value: 'HOST:PORT' },
  ),
  certs: text(
    '',
    'every role',
    'This node’s folder of certificates, made by livepeer certs. With it, a redeemer serves only orchestrators that have such certificates, an orchestrator accepts only transcoders that have them, and both ends are verified. Gateways need none.',
    { roles: ['orchestrator', 'transcoder', 'redeemer'], value: 'DIR' },
  ),
  mediaSandbox: text(
    'auto',
    'every role',
    'Sandbox of the processes that decode and encode: auto, as far as this system allows; required, refuse to start without the full sandbox; off.',
    { roles: ['gateway', 'orchestrator', 'transcoder'], value: 'auto|required|off' },
  ),
  maxSessions: text(
    '10',
    'every role',
    'Number of concurrent streams. auto: with -transcoder as many as this machine sustains in real time, measured at the start with -transcodingOptions and then by its work; an orchestrator adds the capacity of its remote transcoders.',
    { roles: ['gateway', 'orchestrator', 'transcoder'], value: 'N' },
  ),
  config: text('', 'every role', 'File with one setting per line: name, space, value.', {
    value: 'FILE',
  }),
  v: text('3', 'every role', 'Log level: 0 errors, 2 warnings, 3 information, 5 everything.', {
    value: 'LEVEL',
  }),
  logFormat: text(
    'auto',
    'every role',
    'How log lines are written: pretty, with the time in UTC and amounts in ETH, gwei and LPT; json, one object a line with amounts in wei; journald, as pretty with the journal’s priority instead of the time. auto: journald where systemd reads the log, pretty otherwise.',
    { value: 'auto|pretty|json|journald' },
  ),
  version: bool(false, 'every role', 'Print versions and exit.'),
  j: bool(false, 'every role', 'Print the flags as JSON and exit.'),

  // Every role on chain
  ethUrl: text(
    '',
    'every role on chain',
    'JSON-RPC endpoints of the chain, in order of preference: http, https, ws or wss URLs, or paths of IPC sockets.',
    {
      value: 'URL,…',
    },
  ),
  ethAcctAddr: text('', 'every role on chain', 'The account to use. Empty: the first one in the keystore.', {
    value: 'ADDRESS',
  }),
  ethKeystorePath: text(
    '',
    'every role on chain',
    'Keystore folder, or one key file. Empty: keystore in the data folder.',
    {
      value: 'PATH',
    },
  ),
  ethPassword: text(
    '',
    'every role on chain',
    'Password of the account, or a file with it. Empty: try the empty password, then ask on the terminal.',
    { secret: true, orPath: true, value: 'TEXT|FILE' },
  ),
  ethOrchAddr: text(
    '',
    'every role on chain',
    'The registered orchestrator that this node works for and that tickets pay, if it is not the node’s own account.',
    { value: 'ADDRESS' },
  ),
  ethController: text(
    '',
    'every role on chain',
    'The protocol’s Controller contract. Empty: the known one for -network.',
    { value: 'ADDRESS' },
  ),
  transactionTimeout: duration(
    '5m',
    'every role on chain',
    'How long to wait for one attempt at a transaction.',
  ),
  maxTransactionReplacements: int(
    1,
    'every role on chain',
    'How often a transaction that is not mined is resent with higher fees.',
  ),
  alertBalanceDays: int(
    7,
    'every role on chain',
    'An alert tells when the account’s ether lasts for fewer days than this at what it spent in the last seven, or a gateway’s deposit at what it pays.',
    { value: 'DAYS' },
  ),
  gasLimit: int(0, 'every role on chain', 'Gas limit of transactions; 0 estimates it.'),
  minGasPrice: triWei(
    'every role on chain',
    'Minimum gas price to assume, in wei. Not given: 1 gwei on mainnet, 0 elsewhere.',
  ),
  maxGasPrice: wei(
    0,
    'every role on chain',
    'Maximum gas price in wei; above it no transaction is sent. 0: ten times the median price of the last hour, at least 2 gwei and at most 500 (Arbitrum One: 20). A redemption never costs more than its tickets pay, and until its last chance at most half of that.',
  ),
  blockPollingInterval: seconds(5, 'every role on chain', 'Seconds between polls of the chain.'),
  initializeRoundMaxDelay: duration(
    '30s',
    'every role on chain',
    'Longest random delay before a round is initialised, so that nodes do not all do it at once.',
  ),
  priceFeedAddr: text(
    '0x639Fe6ab55C921f74e7fac1ee960C0B6293ba612',
    'every role on chain',
    'Chainlink feed that converts prices in other currencies to wei.',
    { roles: ['gateway', 'orchestrator'], value: 'ADDRESS' },
  ),
  pixelsPerUnit: text('1', 'every role on chain', 'Number of pixels that the price per unit is for.', {
    roles: ['gateway', 'orchestrator'],
    value: 'N',
  }),

  // Gateway
  rtmpAddr: text(
    '127.0.0.1:1935',
    'gateway',
    'Address for publishers and players over RTMP; none: no RTMP. If it is not given and its port is taken, the gateway runs without.',
    { value: 'HOST:PORT' },
  ),
  rtmpCert: text(
    '',
    'gateway',
    'Folder with the certificate of the RTMP port, which then speaks rtmps only: fullchain.pem and privkey.pem as of Let’s Encrypt, tls.crt and tls.key, or cert.pem and key.pem. It is read again when it changes.',
    { value: 'DIR' },
  ),
  maxSegmentDuration: duration(
    '60s',
    'gateway',
    'How long a segment of an RTMP stream may become while no key frame comes, between 2s and 300s. A publisher that exceeds it is disconnected.',
  ),
  orchAddr: text(
    '',
    'gateway',
    'Orchestrators to work with. A standalone transcoder works for the first one that answers.',
    { roles: ['gateway', 'transcoder'], value: 'HOST:PORT,…' },
  ),
  orchWebhookUrl: text(
    '',
    'gateway',
    'URL that returns the list of orchestrators; it goes before -orchAddr.',
    {
      value: 'URL',
    },
  ),
  orchBlocklist: text(
    '',
    'gateway',
    'Addresses of orchestrators not to use: of the node itself, or of the account that its tickets pay.',
    { value: 'ADDRESS,…' },
  ),
  orchMinLivepeerVersion: text('', 'gateway', 'Minimum version that an orchestrator must report.', {
    value: 'VERSION',
  }),
  extraNodes: int(0, 'gateway', 'How many additional instances to ask of those that an orchestrator names.'),
  discoveryTimeout: duration('500ms', 'gateway', 'Initial timeout for answers of orchestrators.'),
  selectStakeWeight: float(
    '0.7',
    'gateway',
    'Weight of stake in choosing an orchestrator that has not been tried.',
  ),
  selectRandFreq: float(
    '0.3',
    'gateway',
    'Weight of chance in choosing an orchestrator that has not been tried.',
  ),
  selectPriceWeight: float(
    '0',
    'gateway',
    'Weight of price in choosing an orchestrator that has not been tried.',
  ),
  selectPriceExpFactor: float('100', 'gateway', 'How strongly price affects the choice.'),
  orchPerfStatsUrl: text(
    '',
    'gateway',
    'URL with performance scores of orchestrators, read every ten minutes; needs -region and a chain.',
    { value: 'URL' },
  ),
  region: text('', 'gateway', 'Region whose performance scores are used.'),
  minPerfScore: float(
    '0',
    'gateway',
    'Minimum performance score of an orchestrator that has not been tried; ignored if none has it.',
  ),
  gatewayHost: text(
    '',
    'gateway',
    'Public host name of this gateway behind a proxy. A gateway on loopback then accepts segments under this name too, and from web pages of this host.',
    { value: 'HOST' },
  ),
  transcodingOptions: text(
    'P240p30fps16x9,P360p30fps16x9',
    'gateway',
    'Renditions of a stream: names of presets, or a JSON file with profiles. For a transcoder: the renditions that -maxSessions auto is measured with.',
    { roles: ['gateway', 'transcoder'], value: 'NAME,…|FILE' },
  ),
  maxAttempts: int(3, 'gateway', 'Maximum number of attempts per segment; 0 never transcodes.'),
  currentManifest: bool(false, 'gateway', 'Also serve the newest stream as /stream/current.m3u8.'),
  httpIngest: triBool(
    'gateway',
    'Accept segments at /live/. Not given: yes, unless the gateway can be reached from outside and has no webhook.',
  ),
  localVerify: triBool(
    'gateway',
    'Verify pixels and signatures of results. Not given: yes on chain, no offchain.',
  ),
  authWebhookUrl: text('', 'gateway', 'URL that decides who may stream, or which gateways to serve.', {
    roles: ['gateway', 'orchestrator'],
    value: 'URL',
  }),
  verifierUrl: text(
    '',
    'gateway',
    'URL of an external verifier, which judges every result. Needs -verifierPath, or a bucket as -objectStore.',
    {
      value: 'URL',
    },
  ),
  verifierPath: text(
    '',
    'gateway',
    'Folder shared with the external verifier, which sees it as /stream. Not given: it fetches copies from the bucket of -objectStore, which are removed when it has judged them.',
    { value: 'DIR' },
  ),
  objectStore: text(
    '',
    'gateway',
    'Where segments are saved for players, or an orchestrator’s results for gateways (a bucket): a folder, s3://KEY:SECRET@REGION/BUCKET, s3+https://KEY:SECRET@HOST/BUCKET or gs://BUCKET?keyfile=FILE, or a file with one of these. Not given: in memory alone.',
    { roles: ['gateway', 'orchestrator'], secret: true, orPath: true, value: 'URL|DIR|FILE' },
  ),
  recordStore: text(
    '',
    'gateway',
    'Where streams are recorded, to be played at /recordings/NAME/index.m3u8: a folder, s3://KEY:SECRET@REGION/BUCKET, s3+https://KEY:SECRET@HOST/BUCKET or gs://BUCKET?keyfile=FILE, or a file with one of these. Not given: only streams are recorded for which the webhook of -authWebhookUrl names a store.',
    { secret: true, orPath: true, value: 'URL|DIR|FILE' },
  ),
  recordRetention: duration(
    '0s',
    'gateway',
    'How long recordings are kept in -recordStore, at least 1m, such as 720h; then their files are deleted. 0: for ever.',
  ),
  metadataQueueUri: text(
    '',
    'gateway',
    'AMQP broker that gets an event about each segment, as amqp://user:password@host:5672/ or amqps://…, or a file with that URL. It has to answer at the start. While it is away later, events wait; those that have no room are dropped and counted.',
    { orPath: true, value: 'URL|FILE' },
  ),
  metadataAmqpExchange: text(
    'lp_golivepeer_metadata',
    'gateway',
    'Topic exchange of that broker, declared durable at the start.',
    { value: 'NAME' },
  ),
  metadataPublishTimeout: duration(
    '1s',
    'gateway',
    'How long that broker may take to confirm events; then the gateway connects anew and sends them again.',
  ),
  FVfailGsbucket: text('', 'gateway', 'Google bucket for segments that failed fast verification.', {
    value: 'BUCKET',
  }),
  FVfailGskey: text(
    '',
    'gateway',
    'Key of a service account for that bucket: a file, or JSON. Not given: the credentials of this machine.',
    { secret: true, value: 'FILE|JSON' },
  ),

  // Gateway on chain
  maxPricePerUnit: text(
    '0',
    'gateway on chain',
    'Maximum price per -pixelsPerUnit pixels, in wei or with a currency as in 0.5USD; 0 accepts any.',
    { value: 'PRICE' },
  ),
  ignoreMaxPriceIfNeeded: bool(
    false,
    'gateway on chain',
    'Use more expensive orchestrators when there are no others.',
  ),
  maxTicketEV: text('3000000000000', 'gateway on chain', 'Maximum expected value of a ticket, in wei.', {
    value: 'WEI',
  }),
  maxTotalEV: text('20000000000000', 'gateway on chain', 'Maximum expected value of a payment, in wei.', {
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
    'Address at which gateways reach this node. Empty: the one registered on chain. none: do no work, only advertise -nodes.',
    { value: 'HOST:PORT' },
  ),
  nodes: text('', 'orchestrator', 'Other instances of the same operator to advertise to gateways.', {
    value: 'HOST:PORT,…',
  }),
  uriSegments: text(
    '',
    'orchestrator',
    'Hosts from which segments that gateways send as a URI may be fetched, and where results are saved in the object stores that gateways name; public allows every public address. Empty: such segments are refused, and results stay here. A standalone transcoder also fetches from its orchestrator and from public addresses.',
    { roles: ['orchestrator', 'transcoder'], value: 'public|HOST:PORT,…' },
  ),
  orchSecret: text(
    '',
    'orchestrator',
    'Secret that transcoders send to their orchestrator, or a file with it. With it, an orchestrator accepts remote transcoders.',
    {
      roles: ['orchestrator', 'transcoder'],
      secret: true,
      orPath: true,
      value: 'TEXT|FILE',
    },
  ),
  startupAvailabilityCheck: bool(
    true,
    'orchestrator',
    'Call the node’s own service address after the start.',
  ),
  rotateSecrets: bool(
    false,
    'orchestrator',
    'Start with new secrets for ticket params and auth tokens; the old ones stay valid for an hour.',
  ),

  // Orchestrator on chain
  pricePerUnit: triText(
    'orchestrator on chain',
    'Price per -pixelsPerUnit pixels, in wei or with a currency as in 0.5USD. Required on chain; 0 works for free.',
    { value: 'PRICE' },
  ),
  pricePerGateway: text(
    '',
    'orchestrator on chain',
    'Prices for certain gateways, as JSON or a file of it: {"gateways":[{"ethaddress":"0x…","priceperunit":1,"currency":"wei","pixelsperunit":1}]}.',
    { orPath: true, value: 'JSON|FILE' },
  ),
  autoAdjustPrice: bool(true, 'orchestrator on chain', 'Add the cost of redemption to the price.'),
  ticketEV: text('8000000000', 'orchestrator on chain', 'Expected value of a ticket, in wei.', {
    value: 'WEI',
  }),
  maxFaceValue: text(
    '0',
    'orchestrator on chain',
    'Maximum face value of a ticket, in wei; 0 for no limit.',
    {
      value: 'WEI',
    },
  ),
  redeemerAddr: text(
    '',
    'orchestrator on chain',
    'Redeemers for this node’s tickets, in order of preference; any one will do. Empty: the node redeems its own tickets.',
    { value: 'HOST:PORT,…' },
  ),
  redeemAfter: duration(
    '0s',
    'orchestrator on chain',
    'Makes a redeemer with another account a watchtower: it redeems only tickets that have waited so long, or whose deadline is that near. 0s: all tickets.',
    { roles: ['redeemer'] },
  ),
  redeemerSecret: text(
    '',
    'orchestrator on chain',
    'Secret that orchestrators send to their redeemer, or a file with it. A redeemer that is not on loopback needs it or -certs; none: it asks for nothing.',
    { roles: ['orchestrator', 'redeemer'], secret: true, orPath: true, value: 'TEXT|FILE' },
  ),
  importTicketQueue: text(
    '',
    'orchestrator on chain',
    'Database of a Go node, lpdb.sqlite3, whose open winning tickets are imported at the start. It is only read.',
    { roles: ['orchestrator', 'redeemer'], value: 'FILE' },
  ),

  // Transcoding
  nvidia: text('', 'transcoding', 'Nvidia GPUs to transcode on, by number, or all.', { value: 'ID,…' }),
  netint: text('', 'transcoding', 'NETINT cards to transcode on.', {
    refused:
      'the FFmpeg that comes with this node has no codecs for NETINT cards: leave it out to transcode on the CPU, or give -nvidia',
    value: 'ID,…',
  }),
  testTranscoder: bool(true, 'transcoding', 'Test the GPUs at the start.'),
  hevcDecoding: triBool(
    'transcoding',
    'Offer HEVC decoding where the test of the GPU succeeds; false never does.',
  ),
  transcoderName: text(
    '',
    'transcoding',
    'Name of this transcoder in the status and the log of its orchestrator, at most 64 characters. Empty: the name of the host.',
    { value: 'NAME' },
  ),

  // Observation
  monitor: bool(false, 'observation', 'Serve metrics at /metrics of the control API.'),
  metricsPerStream: bool(false, 'observation', 'Label metrics by stream and sender.'),
  metricsClientIP: bool(false, 'observation', 'Label metrics by client; includes -metricsPerStream.'),
  kafkaBootstrapServers: text(
    '',
    'observation',
    'Kafka servers that get what the gateway does for its streams; needs -kafkaGatewayTopic and -monitor.',
    { roles: ['gateway'], value: 'HOST:PORT,…' },
  ),
  kafkaUser: text(
    '',
    'observation',
    'User of Kafka; with -kafkaPassword, events go over TLS with SASL/PLAIN, otherwise in the clear.',
    { roles: ['gateway'] },
  ),
  kafkaPassword: text('', 'observation', 'Password of that user, or a file with it.', {
    ...{ roles: ['gateway'], secret: true, orPath: true, value: 'TEXT|FILE' },
  }),
  kafkaGatewayTopic: text('', 'observation', 'Topic of Kafka for these events.', {
    ...{ roles: ['gateway'], value: 'NAME' },
  }),
} as const satisfies Record<string, Flag>

/** Old names of flags, and the flags they stand for. */
export const oldNames = {
  broadcaster: 'gateway',
  datadir: 'dataDir',
  pricePerBroadcaster: 'pricePerGateway',
} as const satisfies Record<string, keyof typeof flags>

/** Name of a flag. */
export type FlagName = keyof typeof flags

/** The flags' names in the order of the table. */
export const flagNames = Object.keys(flags) as readonly FlagName[]

/** The table's name for a flag, given that name or an old one; null if there is no such flag. */
export function flagNamed(name: string): FlagName | null {
  if (Object.hasOwn(flags, name)) return name as FlagName
  return Object.hasOwn(oldNames, name) ? oldNames[name as keyof typeof oldNames] : null
}

type ValueOf<Kind extends FlagKind> = {
  bool: boolean
  'tri-bool': boolean | null
  int: bigint
  wei: bigint
  'tri-wei': bigint | null
  /** Milliseconds. */
  seconds: number
  float: number
  /** Milliseconds. */
  duration: number
  string: string
  'tri-string': string | null
}[Kind]

/** A value for every flag, by name. */
export type FlagValues = { readonly [Name in FlagName]: ValueOf<(typeof flags)[Name]['kind']> }

/** Whether a flag has no effect offchain. */
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

/**
 * Flags of the Go node that ask for AI, live runners or remote signing (operations.md, appendix), and so are refused, unless
 * they are off or empty.
 */
export const foreignFlags: ReadonlyMap<string, FlagKind> = new Map([
  ...`aiServiceRegistry aiWorker aiServerless useLiveRunners remoteSigner remoteSignerAllowNoAuth remoteDiscovery`
    .split(/\s+/)
    .map((name) => [name, 'bool'] as const),
  ...`aiModels liveRunnerConfig remoteSignerUrl remoteSignerHeaders remoteSignerWebhookUrl remoteSignerWebhookHeaders`
    .split(/\s+/)
    .map((name) => [name, 'string'] as const),
])

/** Whether a value of such a flag asks for what this node does not do. */
export function isAskedFor(value: unknown): boolean {
  return value !== false && value !== ''
}

/** Flags that only tune such work: a start script that has them asks for nothing that is missing here. */
const foreignTuning: ReadonlyMap<string, FlagKind> = new Map([
  ['aiVerboseLogs', 'bool'],
  ...`aiModelsDir aiRunnerImage aiRunnerImageOverrides aiProcessingRetryTimeout aiRunnerContainersPerGPU
  aiMinRunnerVersion maxPricePerCapability liveRunnerProxyUrl liveRunnerAddr mediaMTXApiPassword
  liveAITrickleHostForRunner liveAIAuthApiKey liveAIAuthWebhookUrl liveAIHeartbeatURL liveAIHeartbeatHeaders
  liveAIHeartbeatInterval livePaymentInterval liveOutSegmentTimeout liveAISaveNSegments liveAICapRefreshModels
  liveAICapReportInterval`
    .split(/\s+/)
    .map((name) => [name, 'string'] as const),
])

/** The names of those flags. */
export const foreignTuningNames: readonly string[] = [...foreignTuning.keys()]

/** The kind of a flag of the Go node that can have no effect here; null for any other. */
export function foreignKind(name: string): FlagKind | null {
  return foreignTuning.get(name) ?? foreignFlags.get(name) ?? null
}
