import { ALERT_CODES, alertsIn, ruleOf } from '../domain/alerts.ts'
import type { PricePerPixel } from '../domain/ticket.ts'
import { gwei } from '../io/http/metric-row.ts'
import type { Reading, Readings, Sample } from '../io/http/metrics.ts'
import type { NodeAlertFacts } from './alert-facts.ts'
import type { Parts } from './parts.ts'
import { roundClockOf, type StatusFacts } from './status/facts.ts'

/** The metrics of a node that are read when they are requested (`src/io/http/metrics-table.ts`). */
export function readingsOf(parts: Parts, facts: StatusFacts, alertFacts: NodeAlertFacts): Readings {
  const { chain, core, gateway, handingOver, orchestrator, reward, transcoder } = parts
  const sessions = () =>
    orchestrator?.orchestrator.sessionCount ??
    gateway?.gateway.status().length ??
    transcoder?.worker?.status().running
  return {
    versions: () => [
      {
        value: 1,
        labels: {
          ...{ livepeerversion: core.env.version, goos: process.platform },
          ...{ compiler: 'v8', goversion: `node${process.versions.node}` },
        },
      },
    ],
    alert: async () => {
      const { alerts } = alertsIn(await alertFacts.read())
      return ALERT_CODES.map((code) => ({
        labels: { alert: code, severity: ruleOf(code).severity },
        value: alerts.filter((alert) => alert.code === code).length,
      }))
    },
    problem: () => core.env.causes.samples(core.settings.roles),
    max_sessions_total: () => one(parts.maxSessions),
    current_sessions_total: () => one(sessions()),
    ...(gateway && {
      fast_verification_enabled_current_sessions_total: () => one(gateway.gateway.comparing().wanted),
      fast_verification_using_current_sessions_total: () => one(gateway.gateway.comparing().possible),
    }),
    ...(chain && chainReadings(parts, chain, facts)),
    ...(chain && ticketReadings(parts, chain, facts)),
    ...(chain && priceReadings(parts, chain)),
    ...(handingOver && {
      redeemer_up: () =>
        handingOver.redeemers.health.map(({ name, answers }) => ({
          ...{ labels: { redeemer: name }, value: isUp(answers) },
        })),
    }),
    ...(reward && {
      last_reward_round: () => {
        const { lastRewardRound } = reward.reward.status()
        return one(lastRewardRound === null ? null : Number(lastRewardRound))
      },
    }),
  }
}

type Chain = NonNullable<Parts['chain']>

function chainReadings({ core }: Parts, chain: Chain, facts: StatusFacts): Readings {
  const { access, gas, settings, transactions, watch } = chain
  return {
    chain_silence_seconds: () => {
      const { head } = watch
      return one(head && Math.max(0, core.env.clock.now() / 1000 - Number(head.timestamp)))
    },
    current_round: () => {
      const clock = roundClockOf(chain)
      return one(clock && Number(clock.currentRound))
    },
    account_balance_wei: async () => {
      const balance = await facts.balance()
      return one(balance === null ? null : Number(balance))
    },
    open_transactions: () => one(transactions.open.length),
    rpc_up: () =>
      access.rpc
        .health()
        .filter(({ state }) => state.kind !== 'untried')
        .map(({ endpoint, state }) => ({ labels: { endpoint }, value: isUp(state.kind === 'healthy') })),
    suggested_gas_price: () => oneGwei(gas.gasPrice),
    min_gas_price: () => oneGwei(settings.minGasPrice),
    max_gas_price: () => oneGwei(settings.maxGasPrice),
  }
}

function ticketReadings({ core, winners }: Parts, chain: Chain, facts: StatusFacts): Readings {
  if (!winners) return {}
  const { keeper } = winners
  return {
    tickets: async () => {
      // The store of a cluster is counted by the node that redeems, so that a sum over its nodes is true.
      if (core.settings.store && !('leads' in keeper && keeper.leads)) return []
      const counted = await core.store.countTickets()
      return counted.map(({ state, reason, count }) => ({ labels: { state, reason }, value: count }))
    },
    ticket_deadline_l1_blocks: () => {
      const [first] = keeper.waiting(1)
      const clock = roundClockOf(chain)
      return one(first && clock ? Number(first.expiryBlock - clock.l1Block) : null)
    },
    recipient_active: async () => {
      const recipient = await facts.recipientState()
      return one(recipient && isUp(recipient.active))
    },
  }
}

/** What is asked of gateways, or paid at most; and the gateway's own funds. */
function priceReadings({ gateway, settings }: Parts, chain: Chain): Readings {
  if (settings.orchestrator?.price) {
    const { gatewayPrices, price } = settings.orchestrator
    const prices = [...gatewayPrices].map(([sender, unit]) => [sender, chain.priceNow(unit)] as const)
    const everyone = chain.priceNow(price)
    return {
      transcoding_price: () => [
        priced('', everyone()),
        ...prices.map(([sender, priceNow]) => priced(sender, priceNow())),
      ],
    }
  }
  const funds = gateway?.paying?.funds
  if (!funds) return {}
  const { account } = chain
  const maxPriceNow = settings.gateway?.maxPrice && chain.priceNow(settings.gateway.maxPrice)
  const deposit: Reading = async () => funded(account, (await funds.info(account)).deposit)
  const reserve: Reading = async () => funded(account, (await funds.info(account)).fundsRemaining)
  return {
    transcoding_price: () => (maxPriceNow ? [priced('max', maxPriceNow())] : []),
    ...{ gateway_deposit: deposit, broadcaster_deposit: deposit },
    ...{ gateway_reserve: reserve, broadcaster_reserve: reserve },
  }
}

function priced(sender: string, price: PricePerPixel): Sample {
  return { labels: { sender }, value: price.toNumber() }
}

function funded(sender: string, wei: bigint): Sample[] {
  return [{ labels: { sender }, value: gwei(wei) }]
}

/** One sample; none while the value is unknown. */
function one(value: number | null | undefined): Sample[] {
  return value === null || value === undefined ? [] : [{ value }]
}

function oneGwei(wei: bigint | null): Sample[] {
  return one(wei === null ? null : gwei(wei))
}

function isUp(yes: boolean): number {
  return yes ? 1 : 0
}
