import { type Flag, type FlagName, type FlagRole, flags, needsChain, rolesOf } from './flags.ts'
import { defaultOf, type LoadedFlags, SettingsError } from './load-flags.ts'
import type { Network } from './networks.ts'
import type { Role } from './settings.ts'

/**
 * Refuses paid flags without a chain, with which the node would work for free (operations.md §10 #12, #13). Throws
 * SettingsError.
 */
export function refuseWhatNeedsAChain(loaded: LoadedFlags, network: Network): void {
  if (!network.offchain) return
  for (const [name, { spelled }] of loaded.given) {
    if (!needsChain(flags[name]) || !changesSomething(loaded, name)) continue
    const named = loaded.given.has('network') ? 'is offchain' : 'is not given, so offchain'
    throw new SettingsError(
      'bad-setting',
      `${spelled} needs a chain, but -network ${named}: name the network, such as -network arbitrum-one-mainnet, or leave -${name} out`,
    )
  }
}

/** Refuses flags that can do nothing in this node. Throws SettingsError. */
export function refuseUnusable(loaded: LoadedFlags): void {
  for (const [name, { spelled }] of loaded.given) {
    const flag: Flag = flags[name]
    if (!changesSomething(loaded, name)) continue
    if (flag.refused) throw new SettingsError('bad-setting', `${spelled} is refused: ${flag.refused}`)
  }
}

/** Warnings about flags that none of the process's roles reads: one sentence each. */
export function unusedFlags(loaded: LoadedFlags, settings: { readonly roles: ReadonlySet<Role> }): string[] {
  const sentences: string[] = []
  for (const [name, { spelled }] of loaded.given) {
    if (!changesSomething(loaded, name)) continue
    const flag: Flag = flags[name]
    const readers = rolesOf(flag)
    const isRead = !readers || readers.some((reader: FlagRole) => settings.roles.has(reader))
    if (!isRead) {
      sentences.push(`${spelled} has no effect here: it is for ${readers.map(withArticle).join(' or ')}`)
    }
  }
  return sentences
}

function withArticle(role: FlagRole): string {
  return `${/^[aeiou]/.test(role) ? 'an' : 'a'} ${role}`
}

/** False for a flag given at its default, for `-reward=false` and for a price of 0, none of which needs a chain. */
function changesSomething(loaded: LoadedFlags, name: FlagName): boolean {
  const value = loaded.values[name]
  if (value === defaultOf(flags[name])) return false
  if (name === 'reward') return value !== false
  if (name === 'pricePerUnit') return value !== '0'
  return true
}
