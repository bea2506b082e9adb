import { parseAmount } from '../domain/price.ts'
import { isLoopback } from '../lib/hosts.ts'
import { Rational } from '../lib/rational.ts'
import { parseBind, parsePeer, printBind } from './addresses.ts'
import { shown } from './load-flags.ts'
import type { Network } from './networks.ts'
import { readKafka, readMetadata } from './read-events.ts'
import { readFailedSegments, readObjectStore } from './read-objects.ts'
import { profilesOf } from './read-profiles.ts'
import { readRecordings } from './read-recordings.ts'
import { checkedAddress, entries, peerUrls, type Reading, readPrice, refusal } from './reading.ts'
import type { GatewaySettings } from './settings.ts'

/** Reads the settings of a gateway. Throws SettingsError. */
export function readGateway(reading: Reading, network: Network): GatewaySettings {
  const { flags } = reading
  const bind = parseBind(reading.spelled('httpAddr'), flags.httpAddr, { host: '127.0.0.1', port: 9935 })
  const authWebhook = reading.httpUrl('authWebhookUrl')
  const orchestratorWebhook = reading.httpUrl('orchWebhookUrl')
  const guarded = isLoopback(bind.host) || authWebhook !== null
  if (flags.httpIngest === null && !guarded) {
    reading.warnings.push(
      `HTTP ingest at /live/ is off because ${reading.spelled('httpAddr')} ${printBind(bind)} is open to anyone: give -httpIngest to turn it on anyway`,
    )
  }
  const orchestrators = peerUrls(reading, 'orchAddr', '127.0.0.1')
  if (network.offchain && orchestrators.length === 0 && orchestratorWebhook === null) {
    reading.warnings.push(
      'no orchestrator is given offchain, so streams are served without transcoding: give -orchAddr',
    )
  }
  if (orchestratorWebhook !== null && orchestrators.length > 0) {
    const [webhook, list] = [reading.spelled('orchWebhookUrl'), reading.spelled('orchAddr')]
    reading.warnings.push(`${list} has no effect, since ${webhook} lists the orchestrators`)
  }
  const maxPrice = network.offchain ? null : readPrice(reading, 'maxPricePerUnit', flags.maxPricePerUnit)
  const objectStore = readObjectStore(reading, 'objectStore')
  return {
    bind,
    authWebhook,
    verifier: readVerifier(reading, objectStore),
    rtmp: readRtmp(reading),
    httpIngest: flags.httpIngest ?? guarded,
    publicHost:
      flags.gatewayHost === '' ? '' : parsePeer(reading.spelled('gatewayHost'), flags.gatewayHost, null).host,
    orchestratorWebhook,
    orchestrators,
    blocklist: new Set(
      entries(flags.orchBlocklist).map((entry) => checkedAddress(reading.spelled('orchBlocklist'), entry)),
    ),
    minOrchestratorVersion: flags.orchMinLivepeerVersion,
    extraNodes: reading.count('extraNodes', 0n),
    discoveryTimeoutMs: reading.wait('discoveryTimeout', 1),
    selection: readSelection(reading),
    perf: readPerf(reading, network),
    metadata: readMetadata(reading),
    kafka: readKafka(reading),
    profiles: profilesOf(reading),
    maxAttempts: flags.maxAttempts > 0n ? Number(flags.maxAttempts) : 0,
    currentManifest: flags.currentManifest,
    objectStore,
    failedSegments: readFailedSegments(reading),
    recordings: readRecordings(reading),
    localVerify: flags.localVerify ?? !network.offchain,
    maxPrice: maxPrice && maxPrice.price.amount.sign > 0 ? maxPrice : null,
    ignoreMaxPriceIfNeeded: flags.ignoreMaxPriceIfNeeded,
    maxTicketEv: readAmount(reading, 'maxTicketEV'),
    maxTotalEv: readAmount(reading, 'maxTotalEV'),
    depositMultiplier: readMultiplier(reading),
  }
}

function readVerifier(
  reading: Reading,
  objectStore: GatewaySettings['objectStore'],
): GatewaySettings['verifier'] {
  const url = reading.httpUrl('verifierUrl')
  const { verifierPath: folder } = reading.flags
  if (url === null) {
    if (folder !== '') {
      reading.warnings.push(`${reading.spelled('verifierPath')} has no effect without -verifierUrl`)
    }
    return null
  }
  if (folder !== '') return { url, place: folder }
  // Nobody fetches from a folder of this machine.
  if (objectStore && objectStore.place.kind !== 'folder') return { url, place: objectStore }
  throw refusal(
    `${reading.spelled('verifierUrl')} needs -verifierPath, a folder in which the verifier finds the segments, or -objectStore with a bucket from which it fetches them`,
  )
}

const DEFAULT_RTMP = { host: '127.0.0.1', port: 1935 }
const NO_RTMP = 'none'
/** The shortest segment that is cut and the longest that peers take, in milliseconds (gateway.md §2, §3). */
const SEGMENT_LIMITS = [2_000, 300_000] as const

function readRtmp(reading: Reading): GatewaySettings['rtmp'] {
  const { flags } = reading
  const maxDurationMs = reading.wait('maxSegmentDuration', SEGMENT_LIMITS[0])
  if (maxDurationMs > SEGMENT_LIMITS[1]) {
    throw refusal(`${reading.spelled('maxSegmentDuration')} must be at most 300s, not ${maxDurationMs}ms`)
  }
  const certFolder = flags.rtmpCert === '' ? null : flags.rtmpCert
  if (flags.rtmpAddr === NO_RTMP) {
    if (certFolder !== null) {
      const [cert, addr] = [reading.spelled('rtmpCert'), reading.spelled('rtmpAddr')]
      reading.warnings.push(`${cert} has no effect, since ${addr} ${NO_RTMP} turns RTMP off`)
    }
    return null
  }
  const bind = parseBind(reading.spelled('rtmpAddr'), flags.rtmpAddr, DEFAULT_RTMP)
  if (!isLoopback(bind.host) && flags.authWebhookUrl === '') {
    reading.warnings.push(
      `anyone who can reach ${reading.spelled('rtmpAddr')} ${printBind(bind)} may publish, and this gateway pays: let only your publishers reach it, or give -authWebhookUrl`,
    )
  }
  return { bind, isDefault: !reading.has('rtmpAddr'), maxDurationMs, certFolder }
}

function readSelection(reading: Reading): GatewaySettings['selection'] {
  const { flags } = reading
  const names = ['selectStakeWeight', 'selectRandFreq', 'selectPriceWeight'] as const
  const sum = names.reduce((total, name) => total + flags[name], 0)
  // The tolerance of the Go node's check (operations.md §1.2).
  if (Math.abs(sum - 1) > 0.0001 || names.some((name) => flags[name] < 0)) {
    const given = names.map((name) => `-${name} ${flags[name]}`).join(', ')
    throw refusal(
      `${given}: the three weights must be at least 0 and add up to 1, not ${Number(sum.toFixed(6))}`,
    )
  }
  return {
    stakeWeight: flags.selectStakeWeight,
    randomWeight: flags.selectRandFreq,
    priceWeight: flags.selectPriceWeight,
    priceExpFactor: flags.selectPriceExpFactor,
  }
}

/** Where performance scores are read; a setting that has no effect is told. */
function readPerf(reading: Reading, network: Network): GatewaySettings['perf'] {
  const url = reading.httpUrl('orchPerfStatsUrl')
  const region = reading.flags.region.trim().toUpperCase()
  const { minPerfScore } = reading.flags
  const idle = (name: 'orchPerfStatsUrl' | 'region' | 'minPerfScore', why: string) =>
    reading.warnings.push(`${reading.spelled(name)} has no effect ${why}`)
  if (url !== null && region !== '' && !network.offchain) return { url, region, minScore: minPerfScore }
  if (url !== null && region === '') idle('orchPerfStatsUrl', 'without -region, whose scores are read')
  else if (url !== null) idle('orchPerfStatsUrl', 'offchain, where the first orchestrator to answer is used')
  else if (region !== '') idle('region', 'without -orchPerfStatsUrl, where scores are read')
  else if (minPerfScore > 0) idle('minPerfScore', 'without -orchPerfStatsUrl and -region')
  return null
}

function readAmount(reading: Reading, name: 'maxTicketEV' | 'maxTotalEV'): Rational {
  const text = reading.flags[name]
  const amount = parseAmount(text) ?? attemptOrNull(() => Rational.parse(text))
  if (amount && amount.sign >= 0) return amount
  throw refusal(
    `${reading.spelled(name)} ${shown(text)} is not an amount of wei of at least 0, nor one with a unit, such as 3000gwei or 0.000003eth`,
  )
}

function attemptOrNull<T>(parse: () => T): T | null {
  try {
    return parse()
  } catch {
    return null
  }
}

function readMultiplier(reading: Reading): bigint {
  const { depositMultiplier } = reading.flags
  if (depositMultiplier > 0n) return depositMultiplier
  throw refusal(`${reading.spelled('depositMultiplier')} must be above 0, not ${depositMultiplier}`)
}
