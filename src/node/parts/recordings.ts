import { hostname } from 'node:os'
import type { RecordingSettings } from '../../config/settings.ts'
import type { StoreAddress } from '../../domain/store-address.ts'
import { openStore } from '../../io/objects/open-store.ts'
import type { Address } from '../../lib/crypto.ts'
import type { Service } from '../../lib/service.ts'
import { RecordStores } from '../../services/recordings/record-store.ts'
import { Recorder } from '../../services/recordings/recorder.ts'
import { type RecordingAuthority, Recordings } from '../../services/recordings/recordings.ts'
import { RecordingRetention } from '../../services/recordings/retention.ts'
import type { Core } from './core.ts'

/** What records a gateway's streams, plays the recordings, and deletes old ones. */
export interface RecordingParts {
  readonly recorder: Recorder
  readonly recordings: Recordings
  readonly services: readonly Service[]
}

/** The parts of recordings; `account` is null offchain, `authority` where anyone may watch. */
export function recordingParts(
  { keptMs, store: address }: RecordingSettings,
  {
    account,
    authority,
    env,
  }: {
    readonly account: Address | null
    readonly authority: RecordingAuthority | null
    readonly env: Core['env']
  },
): RecordingParts {
  const open = (at: StoreAddress) => openStore(at, { isPublic: false }, env)
  const own = address && open(address)
  const stores = new RecordStores({ own, open })
  const nodeId = `${account === null ? '' : `${account}-`}${hostname()}`
  const recorder = new Recorder({ nodeId, stores }, env)
  const recordings = new Recordings({ ...env, stores, authority, recorder })
  const retention = own && keptMs !== null ? [new RecordingRetention({ store: own, keptMs }, env)] : []
  return { recorder, recordings, services: [recorder, ...retention] }
}
