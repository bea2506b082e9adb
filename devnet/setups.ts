/** The ways an operator may split the work between processes, with the flags of each. */

/**
 * `single`: one orchestrator does everything. `redeemer`: another account redeems for it. `service-node`: one node with
 * the registered key redeems and calls reward; orchestrators have other keys. `cold`: redeemer and reward service are
 * separate, so that the registered key is used only for reward. `multi`: the same with a separate transcoder process.
 * `cluster`: three orchestrators, two redeemers and two reward services share a PostgreSQL store; any of them may die.
 */
export const SETUPS = ['single', 'redeemer', 'service-node', 'cold', 'multi', 'cluster'] as const
export type Setup = (typeof SETUPS)[number]

/** What a process is for. */
export type NodeKind = 'orchestrator' | 'gateway' | 'redeemer' | 'reward' | 'transcoder'

/** The registered orchestrator's account, by the name of its key. */
export const REGISTERED = 'orchestrator'

/** One process of a setup. */
export interface PlannedNode {
  readonly name: string
  readonly kind: NodeKind
  /** The name of its account's key; null for a node without a chain. */
  readonly account: string | null
  /** Whether its account pays for transactions. */
  readonly needsGas: boolean
  /** The usual port of its service; null if it has only a control API. */
  readonly port: number | null
  readonly controlPort: number
  /** The flags of its role, before those of the chain and the machine. */
  flags(others: Others): string[]
}

/** The addresses and the secret by which nodes of a setup reach one another. */
export interface Others {
  /** The address registered on chain. */
  readonly registered: string
  /** HOST:PORT of each node of this setup, by name. */
  readonly addresses: Readonly<Record<string, string>>
  /** The file of the secret that transcoders share with their orchestrator. */
  readonly orchSecret: string
  /** The file with the URL of the cluster's store; null where the nodes share none. */
  readonly store: string | null
}

/** As many orchestrators as a cluster has where it is not said. */
const CLUSTERED = 3

/**
 * The processes of a setup in starting order, without the gateway, which is always the same. `clustered`: the number of a
 * cluster's orchestrators.
 */
export function planOf(setup: Setup, clustered = CLUSTERED): PlannedNode[] {
  switch (setup) {
    case 'single':
      return [orchestrator('orchestrator', { account: REGISTERED, redeems: true })]
    case 'redeemer':
      return [
        redeemer('redeemer', 'redeemer'),
        orchestrator('orchestrator', { account: REGISTERED, redeemer: 'redeemer' }),
      ]
    case 'service-node':
      return [
        redeemer('service-node', REGISTERED),
        orchestrator('orchestrator-1', { redeemer: 'service-node' }),
        orchestrator('orchestrator-2', { redeemer: 'service-node', port: 8937 }),
      ]
    case 'cold':
      return [
        redeemer('redeemer', 'redeemer'),
        reward(),
        orchestrator('orchestrator-1', { redeemer: 'redeemer' }),
        orchestrator('orchestrator-2', { redeemer: 'redeemer', port: 8937 }),
      ]
    case 'multi':
      return [
        redeemer('redeemer', 'redeemer'),
        reward(),
        orchestrator('orchestrator-1', { redeemer: 'redeemer' }),
        // First, because an orchestrator without a transcoder is not ready.
        transcoder('transcoder', 'orchestrator-2'),
        orchestrator('orchestrator-2', { redeemer: 'redeemer', port: 8937, remote: true }),
      ]
    case 'cluster':
      return [
        redeemer('redeemer-1', 'redeemer'),
        redeemer('redeemer-2', 'redeemer', { port: 8938, controlPort: 4937 }),
        reward('reward-1'),
        reward('reward-2', 2937),
        ...Array.from({ length: clustered }, (_, i) =>
          clusterOrchestrator(`orchestrator-${i + 1}`, { port: 8935 + 2 * i, controlPort: 7935 + 2 * i }),
        ),
      ]
  }
}

/** A setup with several orchestrators has a balancer in front of them, whose address is registered. */
export function hasBalancer(setup: Setup): boolean {
  return planOf(setup).filter(({ kind }) => kind === 'orchestrator').length > 1
}

/** Whether the nodes of a setup share a store. */
export function hasStore(setup: Setup): boolean {
  return setup === 'cluster'
}

function redeemer(
  name: string,
  account: string,
  ports: { port: number; controlPort: number } = { port: 8936, controlPort: 4935 },
): PlannedNode {
  return {
    ...{ name, kind: 'redeemer', account, needsGas: true, ...ports },
    flags: ({ addresses, registered, store }) => [
      ...['-redeemer', '-httpAddr', addresses[name]!],
      ...(account === REGISTERED ? [] : ['-ethOrchAddr', registered]),
      ...sharing(store),
    ],
  }
}

/** No role flag: it calls reward because its account is registered on chain. */
function reward(name = 'reward', controlPort = 2935): PlannedNode {
  return {
    ...{ name, kind: 'reward', account: REGISTERED, needsGas: true, port: null, controlPort },
    flags: ({ store }) => sharing(store),
  }
}

/** An orchestrator of a cluster: it advertises the address on chain, and its store is all that it needs of the others. */
function clusterOrchestrator(name: string, ports: { port: number; controlPort: number }): PlannedNode {
  return {
    ...{ name, kind: 'orchestrator', account: name, needsGas: false, ...ports },
    flags: ({ addresses, registered, store }) => [
      ...['-orchestrator', '-transcoder', '-ethOrchAddr', registered],
      ...['-httpAddr', addresses[name]!, ...sharing(store)],
    ],
  }
}

function sharing(store: string | null): string[] {
  return store === null ? [] : ['-store', store]
}

function orchestrator(
  name: string,
  how: { account?: string; redeems?: true; redeemer?: string; port?: number; remote?: true },
): PlannedNode {
  const account = how.account ?? name
  const isRegistered = account === REGISTERED
  return {
    ...{ name, kind: 'orchestrator', account, needsGas: isRegistered },
    port: how.port ?? 8935,
    controlPort: how.port ? 7937 : 7935,
    flags: ({ registered, addresses, orchSecret }) => [
      '-orchestrator',
      ...(how.remote ? ['-orchSecret', orchSecret] : ['-transcoder']),
      ...(isRegistered ? [] : ['-ethOrchAddr', registered, '-serviceAddr', addresses[name]!]),
      ...(how.redeemer ? ['-redeemerAddr', addresses[how.redeemer]!] : []),
      ...['-httpAddr', addresses[name]!],
    ],
  }
}

function transcoder(name: string, of: string): PlannedNode {
  return {
    ...{ name, kind: 'transcoder', account: null, needsGas: false, port: null, controlPort: 6935 },
    flags: ({ addresses, orchSecret }) => [
      '-transcoder',
      ...['-orchSecret', orchSecret, '-orchAddr', addresses[of]!],
    ],
  }
}
