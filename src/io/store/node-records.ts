import type { Kysely } from 'kysely'
import type { KeptAlert } from '../../services/alerts/alert-log.ts'
import type { AlertKeeping } from '../../services/alerts/alerts.ts'
import type { KeptPool } from '../../services/gateway/orchestrator-source.ts'
import { alertsInText } from './alert-rows.ts'
import {
  addControlChange,
  type ControlChangeRecord,
  controlChanges,
  controlSettings,
  writeControlSetting,
} from './control-rows.ts'
import { storedValue, storeValue } from './kv-rows.ts'
import { poolInText, textOfPool } from './pool-rows.ts'
import { addMissedRewards, addReward, lastRewards, type RewardRecord } from './reward-rows.ts'
import type { StoreAccess } from './store-access.ts'
import type { Tables } from './tables.ts'

const POOL_KEY = 'orchestrator-pool'

/** What a node keeps beside payments and tickets: where it is on the chain, what operators set, what it has told. */
export class NodeRecords {
  readonly #access: StoreAccess

  constructor(access: StoreAccess) {
    this.#access = access
  }

  /** The JSON last given to `saveCursor`, or null. */
  async loadCursor(): Promise<string | null> {
    return storedValue(this.#db, this.#cursorKey)
  }

  /** Stores the chain cursor. */
  async saveCursor(json: string): Promise<void> {
    await this.#access.write((tx) => storeValue(tx, this.#cursorKey, json))
  }

  get #cursorKey(): string {
    return `chain-cursor/${this.#access.node}`
  }

  /** The pool of orchestrators last given to `savePool`, or null. */
  async loadPool(): Promise<KeptPool | null> {
    return poolInText(await storedValue(this.#db, POOL_KEY))
  }

  /** Stores the pool of orchestrators as it was read. */
  async savePool(pool: KeptPool): Promise<void> {
    await this.#access.write((tx) => storeValue(tx, POOL_KEY, textOfPool(pool)))
  }

  /** Which alerts this node, or its cluster, has told: those last given to `saveAlerts`. */
  async loadAlerts(of: AlertKeeping): Promise<readonly KeptAlert[]> {
    return alertsInText(await storedValue(this.#db, this.#alertsKey(of)))
  }

  /** Stores which alerts have been told. */
  async saveAlerts(of: AlertKeeping, alerts: readonly KeptAlert[]): Promise<void> {
    await this.#access.write((tx) => storeValue(tx, this.#alertsKey(of), JSON.stringify(alerts)))
  }

  #alertsKey(of: AlertKeeping): string {
    return of === 'own' ? `alerts/${this.#access.node}` : 'cluster-alerts'
  }

  /** What an operator set at run time and made to outlast a restart, by name. */
  async controlSettings(): Promise<ReadonlyMap<string, string>> {
    return controlSettings(this.#db, this.#access.node)
  }

  /** Keeps such a setting; null forgets it. */
  async keepControlSetting(name: string, value: string | null, nowMs: number): Promise<void> {
    const { node } = this.#access
    await this.#access.write((tx) => writeControlSetting(tx, node, { name, value, nowMs }))
  }

  /** Appends to the record of what operators asked this node for. */
  async addControlChange(change: ControlChangeRecord): Promise<void> {
    await this.#access.write((tx) => addControlChange(tx, this.#access.node, change))
  }

  /** The newest entries of that record, the newest first. */
  async controlChanges(most: number): Promise<readonly ControlChangeRecord[]> {
    return controlChanges(this.#db, this.#access.node, most)
  }

  /** Keeps that the reward of a round was called. */
  async addReward(reward: RewardRecord & { readonly reward: bigint }): Promise<void> {
    await this.#access.write((tx) => addReward(tx, reward))
  }

  /** Keeps that rounds, from first to last, ended without their reward. */
  async addMissedRewards(rounds: { first: bigint; last: bigint; atMs: number }): Promise<void> {
    await this.#access.write((tx) => addMissedRewards(tx, rounds))
  }

  /** What became of the rewards of the last rounds of which anything is known, the newest first. */
  async lastRewards(most: number): Promise<readonly RewardRecord[]> {
    return lastRewards(this.#db, most)
  }

  get #db(): Kysely<Tables> {
    return this.#access.database().db
  }
}
