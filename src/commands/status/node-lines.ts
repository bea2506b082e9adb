import { ether, gwei } from '../../lib/amounts.ts'
import { counted } from '../../lib/counted.ts'
import { Rational } from '../../lib/rational.ts'
import type { SeenNode } from './answer.ts'
import { nameOf } from './problems.ts'
import type { Line } from './screen.ts'
import { duration } from './words.ts'

/** Transcoders, streams and prices shown of each node; further ones are only counted. */
const MAX_TRANSCODERS = 8
const MAX_STREAMS = 5
const MAX_PRICES = 3

/** The state of a node: its account and chain, what it asks or pays, its work, and its transcoders. */
export function nodeLines(node: SeenNode): Line[] {
  const { chain, funds, network, price, ready, version } = node.status
  const where = network === undefined || network === 'offchain' ? 'offchain' : `on ${network}`
  const lines: Line[] = [
    [1, `${nameOf(node)}   version ${version}, ${where}, ${ready ? 'ready' : 'not ready'}`],
  ]
  if (chain) {
    const balance = chain.balance === null ? 'balance not known yet' : ether(chain.balance)
    lines.push([2, `account ${chain.account}   ${balance}`], [2, chainLine(chain)])
  }
  if (price) lines.push([2, priceLine(price)])
  if (funds) lines.push([2, fundsLine(funds)])
  const work = workOf(node)
  if (work !== '') lines.push([2, work])
  return [...lines, ...transcoderLines(node)]
}

function chainLine(chain: NonNullable<SeenNode['status']['chain']>): string {
  const { block, blockAgeSeconds, gasLimits, gasPrice, l1Block, rounds } = chain
  if (block === null) return 'no block seen yet'
  const age = blockAgeSeconds === null ? '' : ` (${duration(blockAgeSeconds * 1000)} old)`
  const notYet = rounds && rounds.lastInitialized < rounds.current ? ', not initialised yet' : ''
  const round = rounds ? `, round ${rounds.current}${notYet}` : ''
  return `block ${block}${age}, L1 block ${l1Block}${round}${gasOf(gasPrice, gasLimits)}`
}

function gasOf(
  price: bigint | null | undefined,
  limits: { readonly max: bigint | null; readonly ceiling: bigint } | null | undefined,
): string {
  if (!price) return ''
  if (!limits) return `, gas ${gwei(price)}`
  const { ceiling, max } = limits
  return `, gas ${gwei(price)} (${max === null ? `pays at most ${gwei(ceiling)}` : `-maxGasPrice ${gwei(max)}`})`
}

function priceLine({ base, offered, perGateway }: NonNullable<SeenNode['status']['price']>): string {
  const list = (prices: typeof offered) => {
    const more = prices.length > MAX_PRICES ? ` and ${prices.length - MAX_PRICES} more` : ''
    const shown = prices.slice(-MAX_PRICES)
    return `${shown.map(({ gateway, weiPerPixel }) => `${priceOf(weiPerPixel)} to ${shortOf(gateway)}`).join(', ')}${more}`
  }
  return [
    base === null ? 'price not known yet' : `price ${priceOf(base)} wei per pixel`,
    ...(perGateway.length > 0 ? [`agreed ${list(perGateway)}`] : []),
    ...(offered.length > 0 ? [`last offered ${list(offered)}`] : []),
  ].join('; ')
}

/** A price with at most three decimals. */
function priceOf(weiPerPixel: string): string {
  const price = Rational.parse(weiPerPixel)
  return price.den === 1n ? `${price}` : price.toFixed(3)
}

/** The beginning and the end of an address. */
function shortOf(address: string): string {
  return address.length > 14 ? `${address.slice(0, 6)}…${address.slice(-4)}` : address
}

function fundsLine(funds: NonNullable<SeenNode['status']['funds']>): string {
  const { depositLastsMs, depositWei, reserveLastsMs, reserveWei, spentPerHourWei } = funds
  const lasts = (ms: number | null) => (ms === null ? '' : `, lasts about ${duration(ms)}`)
  const spending =
    depositLastsMs === null ? 'nothing spent lately' : `spends about ${ether(spentPerHourWei)} an hour`
  return `deposit ${ether(depositWei)}${lasts(depositLastsMs)}; reserve ${ether(reserveWei)}${lasts(reserveLastsMs)}; ${spending}`
}

function sessionsOf(running: number, most: number | undefined): string {
  return most === undefined ? counted(running, 'session') : `${running} of ${counted(most, 'session')}`
}

function workOf({ status }: SeenNode): string {
  const { capacity, floatStreams, media, segments, sessions, streams } = status
  const { tickets, ticketsAccepted, transcoders, worker } = status
  const inRotation = transcoders?.filter(({ outOfRotation }) => outOfRotation === null)
  const parts = [
    ...(streams ? [counted(streams.length, 'stream')] : []),
    ...(sessions === undefined ? [] : [sessionsOf(sessions, capacity?.maxSessions)]),
    ...(segments ? [`${counted(segments.transcoded, 'segment')} transcoded, ${segments.failed} failed`] : []),
    ...(ticketsAccepted === undefined ? [] : [`${counted(ticketsAccepted, 'ticket')} paid`]),
    ...(floatStreams === undefined ? [] : [counted(floatStreams, 'float stream')]),
    ...(media?.devices ?? []).map(
      ({ device, outOfService, sessions: own }) =>
        `GPU ${device}: ${outOfService === null ? counted(own, 'session') : 'out of service'}`,
    ),
    ...(inRotation ? [counted(inRotation.length, 'remote transcoder')] : []),
    ...(worker?.orchestrator ? [`works for ${worker.orchestrator}, ${worker.running} running`] : []),
    ...(tickets ? [`${counted(tickets.received, 'ticket')} received and ${tickets.won} won in all`] : []),
  ]
  return parts.join(' · ')
}

function transcoderLines({ status: { transcoders } }: SeenNode): Line[] {
  if (!transcoders) return []
  const here = transcoders.filter(({ outOfRotation }) => outOfRotation === null)
  const lines = here.slice(0, MAX_TRANSCODERS).map((one): Line => {
    const { address, capacity, hardware, load, name, streams } = one
    const what = [sessionsOf(load, capacity), hardware].filter((text) => text !== '').join(', ')
    const more = streams.length > MAX_STREAMS ? ` and ${streams.length - MAX_STREAMS} more` : ''
    const working = streams.length === 0 ? '' : `: ${streams.slice(0, MAX_STREAMS).join(', ')}${more}`
    return [2, `transcoder ${name === '' ? address : `${name} at ${address}`}, ${what}${working}`]
  })
  const others = here.length - lines.length
  return others > 0 ? [...lines, [2, counted(others, 'more transcoder')]] : lines
}
