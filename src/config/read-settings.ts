import type { Address } from '../lib/crypto.ts'
import { bracketed, isLoopback } from '../lib/hosts.ts'
import { isSocketPath } from '../lib/socket-path.ts'
import { type Bind, parseBind, printBind } from './addresses.ts'
import { refuseWhatNeedsAChain } from './checks.ts'
import { type LoadedFlags, shown } from './load-flags.ts'
import { knownNetworks, type Network, nearestNetwork, networkNamed } from './networks.ts'
import { readAlertBalanceDays, readAlertTargets } from './read-alerts.ts'
import { readMetadataUrl } from './read-events.ts'
import { readGateway } from './read-gateway.ts'
import { readOrchestrator, readRedeemer, readTranscoder } from './read-orchestrator.ts'
import { readClusterAddress, readStore, readStoreUrls } from './read-store.ts'
import { entries, isUrl, NO_SECRET, Reading, refusal } from './reading.ts'
import { Secrets } from './secrets.ts'
import type { ChainSettings, MediaSandboxMode, ProgramEnvironment, Role, Settings } from './settings.ts'

const DEFAULT_VERBOSITY = 3
/** A higher number of sessions is treated as a mistake. */
const MAX_SESSIONS = 1_000_000
const HOST_NAME = /^[a-z0-9]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]*[a-z0-9])?)*$/i

/**
 * Default ports of the control API by role: 7935, 5935 and 6935 as on the network (operations.md §2.1), the others
 * distinct.
 */
const CONTROL_PORTS: Readonly<Record<Role, number>> = {
  orchestrator: 7935,
  gateway: 5935,
  transcoder: 6935,
  redeemer: 4935,
  reward: 2935,
  roundInitializer: 2935,
}

/** Reads everything except what depends on all flags together. Throws SettingsError. */
export function readSettings(loaded: LoadedFlags, env: ProgramEnvironment): Omit<Settings, 'printable'> {
  const reading = new Reading(loaded, env)
  const { flags } = reading
  const network = readNetwork(reading)
  refuseWhatNeedsAChain(loaded, network)
  const roles = readRoles(reading, network)
  const storeUrls = readStoreUrls(reading)
  const secrets = new Secrets({
    ...storeUrls,
    ethPassword: reading.textOrFile('ethPassword'),
    orchSecret: reading.textOrFile('orchSecret'),
    redeemerSecret: readWord(reading, 'redeemerSecret'),
    controlToken: readWord(reading, 'cliToken'),
    metadataUrl: roles.has('gateway') ? readMetadataUrl(reading) : '',
    kafkaPassword: roles.has('gateway') ? reading.textOrFile('kafkaPassword') : '',
    alertTargets: readAlertTargets(reading),
  })
  return {
    roles,
    network,
    dataDir: readDataDir(reading, network, env.homeDir),
    store: readStore(reading, roles, storeUrls),
    clusterAddress: readClusterAddress(reading, storeUrls),
    verbosity: readVerbosity(reading),
    logFormat: readLogFormat(reading),
    controlBind: readControlBind(reading, roles, secrets),
    controlHosts: readControlHosts(reading),
    maxSessions: readMaxSessions(reading, roles),
    drainTimeoutMs: reading.wait('drainTimeout', 0),
    drainNoticeMs: reading.wait('drainNotice', 0),
    mediaSandbox: readMediaSandbox(reading),
    certs: flags.certs === '' ? null : flags.certs,
    metrics: {
      enabled: flags.monitor,
      perStream: flags.metricsPerStream || flags.metricsClientIP,
      clientIp: flags.metricsClientIP,
    },
    chain: network.offchain ? null : readChain(reading, network),
    gateway: roles.has('gateway') ? readGateway(reading, network) : null,
    orchestrator: roles.has('orchestrator') ? readOrchestrator(reading, network, roles, secrets) : null,
    transcoder: roles.has('transcoder') ? readTranscoder(reading, roles, secrets) : null,
    redeemer: roles.has('redeemer') ? readRedeemer(reading, secrets) : null,
    importTicketQueue: flags.importTicketQueue === '' ? null : flags.importTicketQueue,
    secrets,
    warnings: reading.warnings,
  }
}

/**
 * The log level. Start scripts may have a word there, which the Go node passes over (operations.md §1.2); a variable of that
 * name may be for something else.
 */
function readVerbosity(reading: Reading): number {
  const { v: text } = reading.flags
  if (/^[+-]?\d{1,4}$/.test(text)) return Number(text)
  const spelled = reading.spelled('v')
  const levels = '0 errors, 2 warnings, 3 information, 5 everything'
  if (spelled.startsWith('LP_'))
    throw refusal(`${spelled} must be a log level (${levels}), not ${shown(text)}`)
  reading.warnings.push(`${spelled} ${shown(text)} is no log level (${levels}): ${DEFAULT_VERBOSITY} is used`)
  return DEFAULT_VERBOSITY
}

function readNetwork(reading: Reading): Network {
  const { network: name } = reading.flags
  const network = networkNamed(name)
  if (!network) throw refusal(`${reading.spelled('network')} ${shown(name)} is not a valid network name`)
  if (network.offchain || network.controller || reading.flags.ethController !== '') return network
  const guess = nearestNetwork(name)
  const advice = guess
    ? `did you mean ${guess}?`
    : `give -ethController, or one of ${knownNetworks.join(', ')}`
  throw refusal(`no Controller contract is known for ${reading.spelled('network')} ${name}: ${advice}`)
}

function readRoles(reading: Reading, network: Network): Set<Role> {
  const { flags } = reading
  const servers = (['gateway', 'orchestrator', 'redeemer'] as const).filter((name) => flags[name])
  if (servers.includes('redeemer') && servers.includes('orchestrator')) {
    throw refusal(
      '-redeemer and -orchestrator cannot share a process: run the redeemer by itself, and give its address to the orchestrator with -redeemerAddr',
    )
  }
  const clashing = flags.transcoder && !flags.orchestrator ? [...servers, 'transcoder'] : servers
  if (clashing.length > 1) {
    throw refusal(
      `-${clashing.join(' and -')} cannot share a process: run each by itself, with its own -dataDir`,
    )
  }
  const roles = new Set<Role>(servers)
  if (flags.transcoder) roles.add('transcoder')
  if (flags.initializeRound) roles.add('roundInitializer')
  if (flags.reward) roles.add('reward')
  if (roles.size > 0) return roles
  if (network.offchain) {
    throw refusal(
      'nothing to run: give -gateway, -orchestrator, -transcoder or -redeemer, or a -network for the reward service',
    )
  }
  if (flags.reward === false) {
    throw refusal(`${reading.spelled('reward')}=false leaves nothing to run: give a role or leave it out`)
  }
  return roles.add('reward')
}

function readDataDir(reading: Reading, network: Network, homeDir: string | null): string {
  if (reading.flags.dataDir !== '') return reading.flags.dataDir
  if (!homeDir) throw refusal('no home folder was found for the data: give -dataDir')
  return `${homeDir.replace(/\/+$/, '')}/.lpData/${network.name}`
}

/**
 * Reads a secret that is sent in a header, so it must be one word of plain characters; empty when none is given, or
 * `none`.
 */
function readWord(reading: Reading, name: 'cliToken' | 'redeemerSecret'): string {
  if (reading.flags[name] === '' || reading.flags[name] === NO_SECRET) return ''
  const word = reading.textOrFile(name)
  if (/^[\x21-\x7e]{1,1000}$/.test(word)) return word
  throw refusal(`${reading.spelled(name)} must be one word of at most 1000 letters, digits and signs`)
}

function readControlBind(reading: Reading, roles: ReadonlySet<Role>, secrets: Secrets): Bind {
  const order = ['orchestrator', 'gateway', 'transcoder', 'redeemer', 'reward', 'roundInitializer'] as const
  const role = order.find((name) => roles.has(name))!
  const bind = parseBind(reading.spelled('cliAddr'), reading.flags.cliAddr, {
    host: '127.0.0.1',
    port: CONTROL_PORTS[role],
  })
  if (isLoopback(bind.host) || secrets.controlToken !== '') return bind
  const spelled = reading.spelled('cliAddr')
  if (reading.flags.cliToken !== NO_SECRET) {
    throw refusal(
      `the control API would be open to other machines at ${spelled} ${printBind(bind)}: give -cliToken, the secret that clients must send (or -cliToken none if something else protects it)`,
    )
  }
  reading.warnings.push(
    `the control API listens on ${printBind(bind)} without a token: unless something else protects it, give -cliToken, or set ${spelled} to a loopback address`,
  )
  return bind
}

/** Names, not addresses, which are accepted anyway; without ports. */
function readControlHosts(reading: Reading): readonly string[] {
  const names = entries(reading.flags.cliHosts)
  const wrong = names.find((name) => name.length > 253 || !HOST_NAME.test(name))
  if (wrong === undefined) return names.map((name) => name.toLowerCase())
  throw refusal(
    `${reading.spelled('cliHosts')} ${shown(wrong)} is not the name of a host: write it without a scheme and a port, such as node1.example`,
  )
}

function readMaxSessions(reading: Reading, roles: ReadonlySet<Role>): number | 'auto' {
  const { maxSessions: text } = reading.flags
  const spelled = reading.spelled('maxSessions')
  if (text === 'auto') {
    if (roles.has('orchestrator') || roles.has('transcoder')) return 'auto'
    throw refusal(`${spelled} auto is for an orchestrator or a transcoder: give a number`)
  }
  const count = /^\+?\d{1,9}$/.test(text) ? Number(text) : 0
  if (count < 1 || count > MAX_SESSIONS) {
    throw refusal(`${spelled} must be 'auto' or greater than zero, not ${shown(text)}`)
  }
  return count
}

function readLogFormat(reading: Reading): Settings['logFormat'] {
  const { logFormat: format } = reading.flags
  if (format === 'auto' || format === 'pretty' || format === 'json' || format === 'journald') return format
  throw refusal(
    `${reading.spelled('logFormat')} must be auto, pretty, json or journald, not ${shown(format)}`,
  )
}

function readMediaSandbox(reading: Reading): MediaSandboxMode {
  const { mediaSandbox: mode } = reading.flags
  if (mode === 'auto' || mode === 'required' || mode === 'off') return mode
  throw refusal(`${reading.spelled('mediaSandbox')} must be auto, required or off, not ${shown(mode)}`)
}

function readChain(reading: Reading, network: Network): ChainSettings {
  const { flags } = reading
  const urls = entries(flags.ethUrl)
  const bare = urls.findIndex((url) => bracketed(/^\w+:\/\/([^/?#]*)/.exec(url)?.[1] ?? url) !== null)
  if (bare >= 0) {
    throw refusal(
      `entry ${bare + 1} of ${reading.spelled('ethUrl')} has an IPv6 address without brackets: write it as in http://[::1]:8545`,
    )
  }
  const at = urls.findIndex((url) => !isSocketPath(url) && !isUrl(url, ['http:', 'https:', 'ws:', 'wss:']))
  if (urls.length === 0) {
    throw refusal(`-network ${network.name} needs -ethUrl, the JSON-RPC endpoint of the chain`)
  }
  // The entry may contain a key, so it is not printed.
  if (at >= 0) {
    throw refusal(
      `entry ${at + 1} of ${reading.spelled('ethUrl')} is neither an http, https, ws or wss URL nor the path of an IPC socket`,
    )
  }
  const minGasPrice = flags.minGasPrice ?? network.minGasPrice
  for (const name of ['gasLimit', 'maxGasPrice', 'minGasPrice'] as const) {
    if ((flags[name] ?? 0n) < 0n)
      throw refusal(`${reading.spelled(name)} must be at least 0, not ${flags[name]}`)
  }
  if (flags.maxGasPrice > 0n && flags.maxGasPrice < minGasPrice) {
    throw refusal(
      `-maxGasPrice ${flags.maxGasPrice} is below the minimum gas price of ${minGasPrice}, so no transaction could be sent: raise -maxGasPrice or lower -minGasPrice`,
    )
  }
  return {
    urls: [...new Set(urls)],
    // readNetwork has made sure that one of the two exists.
    controller: reading.address('ethController') ?? network.controller!,
    keystorePath: flags.ethKeystorePath === '' ? null : flags.ethKeystorePath,
    account: reading.address('ethAcctAddr'),
    orchestrator: reading.address('ethOrchAddr'),
    redeemGas: network.redeemGas,
    gasLimit: flags.gasLimit === 0n ? null : flags.gasLimit,
    minGasPrice,
    maxGasPrice: flags.maxGasPrice === 0n ? null : flags.maxGasPrice,
    pollingIntervalMs: readPollingInterval(reading),
    transactionTimeoutMs: reading.wait('transactionTimeout', 1),
    maxReplacements: reading.count('maxTransactionReplacements', 0n),
    priceFeed: readPriceFeed(reading),
    reward: flags.reward === null ? 'automatic' : flags.reward ? 'on' : 'off',
    alertBalanceDays: readAlertBalanceDays(reading),
    initializeRoundMaxDelayMs: reading.wait('initializeRoundMaxDelay', 0),
  }
}

function readPollingInterval(reading: Reading): number {
  const { blockPollingInterval: ms } = reading.flags
  if (ms >= 1000 && ms <= 2 ** 31 - 1) return Math.trunc(ms)
  throw refusal(`${reading.spelled('blockPollingInterval')} must be between 1s and 596h, not ${ms / 1000}s`)
}

function readPriceFeed(reading: Reading): Address {
  const address = reading.address('priceFeedAddr')
  if (address) return address
  throw refusal(`${reading.spelled('priceFeedAddr')} is empty: give an address or leave it out`)
}
