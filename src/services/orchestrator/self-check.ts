import type { Clock } from '../../lib/clock.ts'
import { type Address, keccak256, recoverSigner } from '../../lib/crypto.ts'
import type { Dice } from '../../lib/dice.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Scope, Service } from '../../lib/service.ts'

/** Why the advertised address does not lead to this node. */
export type SelfCheckFault = 'another-node' | 'unreachable-self'

/** The endpoint has this long to come up, also behind a balancer (wire.md §1). */
const DELAY_MS = 2_000
const ATTEMPTS = 3
const PAUSE_MS = 2_000
/** Calls, each over a connection of its own: a balancer goes round, and the first may lead here by chance. */
const CALLS = 3

/** What is expected at the advertised address. */
export interface SelfCheckOptions {
  readonly serviceUri: string
  /** This node's account. */
  readonly address: Address
  readonly offchain: boolean
  /** Whether nodes of the same cluster may answer there too: a balancer's address is then right. */
  readonly isInCluster?: boolean
}

/** Asks a node to prove that it holds its key; each time over a new connection. */
export interface Pinger {
  ping(url: string, value: Uint8Array, signal: AbortSignal): Promise<Uint8Array>
}

/**
 * Calls the advertised address and expects this node to answer: otherwise gateways would reach nothing, or another node.
 * Ends the node when that fails (operations.md §2.6).
 */
export class SelfCheck implements Service {
  readonly name = 'self-check'
  readonly #options: SelfCheckOptions
  readonly #needs: { readonly client: Pinger; readonly clock: Clock; readonly dice: Dice; readonly log: Log }

  constructor(options: SelfCheckOptions, needs: { client: Pinger; clock: Clock; dice: Dice; log: Log }) {
    this.#options = options
    this.#needs = needs
  }

  start(scope: Scope): void {
    scope.spawn('call the advertised address', async (signal) => {
      await this.#needs.clock.sleep(DELAY_MS, signal)
      for (let attempt = 1; ; attempt++) {
        try {
          await this.check(signal)
          return this.#needs.log.debug('reachable at the advertised address')
        } catch (error) {
          if (signal.aborted || attempt === ATTEMPTS || this.#isAnotherNode(error)) throw error
          await this.#needs.clock.sleep(PAUSE_MS, signal)
        }
      }
    })
  }

  /** Throws NodeError `unreachable-self` or `another-node`. */
  async check(signal: AbortSignal): Promise<void> {
    const calls = this.#options.offchain ? 1 : CALLS
    for (let i = 0; i < calls; i++) await this.#call(signal)
  }

  async #call(signal: AbortSignal): Promise<void> {
    const { address, isInCluster, offchain, serviceUri } = this.#options
    const value = this.#needs.dice.bytes(32)
    let answer: Uint8Array
    try {
      answer = await this.#needs.client.ping(serviceUri, value, signal)
    } catch (error) {
      throw new NodeError<SelfCheckFault>(
        'unreachable-self',
        `this node cannot be reached at its advertised address ${serviceUri} (${messageOf(error)}): ` +
          'check -serviceAddr and the network in between, or skip this check with -startupAvailabilityCheck=false',
        { cause: error },
      )
    }
    if (offchain || isInCluster) return
    const signer = recoverSigner(keccak256(value), answer)
    if (signer === address) return
    throw new NodeError<SelfCheckFault>(
      'another-node',
      `${signer ?? 'a node without a key'} answers at the advertised address ${serviceUri} instead of ${address}: ` +
        "set -serviceAddr to this node's own address; a balancer's belongs on chain only, unless the nodes behind it share a -store",
    )
  }

  #isAnotherNode(error: unknown): boolean {
    return error instanceof NodeError && error.code === 'another-node'
  }
}
