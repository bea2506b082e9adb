import { join } from 'node:path'
import type { Bind } from '../config/addresses.ts'
import { DEFAULT_PEER_PORT, portOf } from '../config/addresses.ts'
import type { Settings } from '../config/settings.ts'
import { accountNeedsOf, type Duties, dutiesOf } from '../domain/duties.ts'
import type { ChosenAccount, WalletOptions } from '../io/chain/wallet.ts'
import { messageOf } from '../lib/errors.ts'
import { hostAndPort, isUnspecified } from '../lib/hosts.ts'
import { maskUrl } from '../lib/mask-url.ts'
import { roleName } from './status/role-name.ts'

/** One line of what a node with some settings would be. */
export interface ConfigFact {
  readonly name: string
  readonly says: string
}

/** What a node with some settings would be and do, and what it lacks. */
export interface ConfigFacts {
  readonly facts: readonly ConfigFact[]
  /** Sentences: what keeps it from starting, or from its work. */
  readonly missing: readonly string[]
  readonly warnings: readonly string[]
}

/** What of the machine is looked at. */
export interface MachineView {
  /** Finds the node's account, locked. Throws WalletError. */
  readonly chooseAccount: (
    options: Pick<WalletOptions, 'keystoreDirectory' | 'keystorePath' | 'address'>,
  ) => Promise<ChosenAccount>
  /** Whether the folder can be written; `absent` where it does not exist. */
  readonly look: (folder: string) => Promise<'usable' | 'absent' | 'unusable'>
  /** Whether nothing listens there, so that a node could. */
  readonly isFree: (bind: Bind) => Promise<boolean>
}

/** Looks at settings and the machine; asks no chain and no peer, and changes nothing. */
export async function configFacts(settings: Settings, machine: MachineView): Promise<ConfigFacts> {
  const duties = dutiesOf(settings)
  const missing: string[] = []
  const facts: ConfigFact[] = []
  const fact = (name: string, says: string | null) => {
    if (says !== null && says !== '') facts.push({ name, says })
  }
  const { network, chain } = settings
  fact('roles', [...settings.roles].map((role) => roleName([role])).join(', '))
  fact('does', workOf(duties).join(', '))
  fact('network', network.offchain ? 'offchain' : networkText(settings))
  if (chain) {
    fact('endpoints', chain.urls.map(maskUrl).join(', '))
    const account = await accountText(settings, duties, machine)
    fact('account', account.says)
    missing.push(...account.missing)
    if (duties.keepsTickets || duties.rewards)
      fact('recipient', chain.orchestrator ?? 'its own account, or the orchestrator that it calls reward for')
  }
  for (const { bind, name } of bindsOf(settings)) {
    const isFree = await machine.isFree(bind)
    const address = isUnspecified(bind.host)
      ? `port ${bind.port} of every interface`
      : hostAndPort(bind.host, bind.port)
    fact(name, `${address}${isFree ? '' : ' (in use)'}`)
    if (!isFree) missing.push(`${address}, where ${name} would be, is in use: stop what listens there`)
  }
  fact('gateways call', serviceText(settings))
  fact(
    'orchestrators',
    [...(settings.gateway?.orchestrators ?? []), ...(settings.transcoder?.orchestrators ?? [])]
      .map(maskUrl)
      .join(', '),
  )
  fact('redeemers', settings.orchestrator?.redeemers.map(maskUrl).join(', ') ?? null)
  fact(
    'store',
    settings.store ? `${maskUrl(settings.secrets.storeUrl)}, schema ${settings.store.schema}` : null,
  )
  const folder = await machine.look(settings.dataDir)
  fact('data folder', `${settings.dataDir}${folder === 'absent' ? ' (will be made)' : ''}`)
  if (folder === 'unusable')
    missing.push(
      `the data folder ${settings.dataDir} cannot be written: correct its rights, or give another with -dataDir`,
    )
  fact('certificates', settings.certs)
  fact('secrets', secretsOf(settings).join(', '))
  return { facts, missing, warnings: settings.warnings }
}

function networkText({ chain, network }: Settings): string {
  const id = network.chainId === null ? 'any chain' : `chain ${network.chainId}`
  return `${network.name} (${id}), controller ${chain!.controller}`
}

/** The parts of a node's work in words, as its settings imply them. */
function workOf(duties: Duties): string[] {
  const words: readonly (readonly [is: boolean, text: string])[] = [
    [duties.transcodes, 'transcodes'],
    [duties.takesTranscoders, 'takes remote transcoders'],
    [duties.sendsTickets, 'pays orchestrators'],
    [duties.discoversOnChain, 'finds orchestrators on chain'],
    [duties.handsOver, 'hands winning tickets to a redeemer'],
    [duties.redeems && !duties.redeemsLate, 'redeems winning tickets'],
    [duties.redeemsLate, 'redeems tickets that another redeemer leaves'],
    [duties.servesOrchestrators, 'takes tickets from orchestrators'],
    [duties.rewards, 'calls reward'],
    [duties.initializesRounds, 'initialises rounds'],
  ]
  return words.flatMap(([is, text]) => (is ? [text] : []))
}

async function accountText(
  { chain, dataDir, secrets }: Settings,
  duties: Duties,
  machine: MachineView,
): Promise<{ says: string; missing: string[] }> {
  const { account: address, keystorePath } = chain!
  const missing: string[] = []
  try {
    const chosen = await machine.chooseAccount({
      keystoreDirectory: join(dataDir, 'keystore'),
      keystorePath,
      address,
    })
    const hasPassword = secrets.ethPassword !== ''
    if (chosen.kind === 'none') {
      if (!hasPassword)
        missing.push('a new account needs a password: give -ethPassword, or start at a terminal')
      const needs = accountNeedsOf(duties)
      return {
        says: `a new one, created in ${chosen.directory}${needs === '' ? '' : `; then ${needs}`}`,
        missing,
      }
    }
    const { entry, others } = chosen
    if (others.length > 0)
      missing.push(
        `the keystore has ${others.length + 1} accounts and none is chosen: name one with -ethAcctAddr`,
      )
    if (!hasPassword)
      missing.push(`the password of ${entry.address}: give -ethPassword, or start at a terminal`)
    return { says: `${entry.address} (${entry.path})`, missing }
  } catch (error) {
    return { says: address ?? 'none', missing: [messageOf(error)] }
  }
}

/** Where the node would listen. */
function bindsOf(settings: Settings): { name: string; bind: Bind }[] {
  const binds = [{ name: 'control API', bind: settings.controlBind }]
  if (settings.gateway) binds.push({ name: 'publishers and players', bind: settings.gateway.bind })
  if (settings.orchestrator) {
    const { bind, service } = settings.orchestrator
    const url = service.kind === 'url' ? URL.parse(service.url) : null
    const port = bind.port ?? (url ? portOf(url) : DEFAULT_PEER_PORT)
    binds.push({ name: 'gateways and transcoders', bind: { host: bind.host, port } })
  }
  if (settings.redeemer) binds.push({ name: 'orchestrators of the redeemer', bind: settings.redeemer.bind })
  return binds
}

function serviceText({ orchestrator }: Settings): string | null {
  if (!orchestrator) return null
  const { service } = orchestrator
  if (service.kind === 'url') return service.url
  return service.kind === 'registered' ? 'the address that is registered on chain' : null
}

/** Which secrets are given; not what they are. */
function secretsOf({ secrets }: Settings): string[] {
  const given: readonly (readonly [value: string, flag: string])[] = [
    [secrets.ethPassword, '-ethPassword'],
    [secrets.orchSecret, '-orchSecret'],
    [secrets.redeemerSecret, '-redeemerSecret'],
    [secrets.controlToken, '-cliToken'],
  ]
  return given.flatMap(([value, flag]) => (value === '' ? [] : [flag]))
}
