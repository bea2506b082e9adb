import type { Causes } from '../../domain/causes.ts'
import type { NodeEvents } from '../../domain/events.ts'
import type { OrchestratorPlace } from '../../domain/no-session.ts'
import type { Profile } from '../../domain/rendition.ts'
import type { SelectionWeights } from '../../domain/selection.ts'
import type { Inspection } from '../../domain/sound-state.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Signer } from '../../lib/crypto.ts'
import type { Dice } from '../../lib/dice.ts'
import type { Log } from '../../lib/log.ts'
import type { ObjectStore } from '../../lib/object-store.ts'
import type { Recorder } from '../recordings/recorder.ts'
import type { RefutedResults, RenditionInspector } from './fast-verification.ts'
import type { PayingView } from './no-sessions.ts'
import type { Outlets } from './outlets.ts'
import type { Payer } from './payer.ts'
import type { ResultVerifier } from './result-verifier.ts'
import type { Directory, OrchestratorFacts } from './session-needs.ts'
import type { SessionEnder } from './sessions.ts'
import type { InputProbe } from './stream.ts'
import type { StreamAuthority } from './stream-authority.ts'
import type { SubmissionClient } from './submission.ts'

/** The media engine, as the gateway uses it. */
export interface InputMedia {
  /** Throws if the bytes are not a container, or the stream is refused because it crashed several workers. */
  probe(bytes: Uint8Array, signal: AbortSignal, streamId: string): Promise<InputProbe>
  /** Throws if the bytes cannot be decoded. `streamId` names the stream to charge with crashed workers. */
  countPixels(bytes: Uint8Array, signal: AbortSignal, streamId?: string): Promise<bigint>
  /** Decodes a rendition, its sound too. Throws as `countPixels` does. */
  inspect(bytes: Uint8Array, signal: AbortSignal): Promise<Inspection>
  /** Throws as `countPixels`. */
  fingerprint: RenditionInspector['fingerprint']
}

/** Settings of the gateway (gateway.md §1). */
export interface GatewayOptions {
  readonly maxSessions: number
  /** Attempts per segment; 0 or less never transcodes. */
  readonly maxAttempts: number
  readonly profiles: readonly Profile[]
  /** Null offchain. */
  readonly weights: SelectionWeights | null
  /** Whether results are checked; the default is on chain yes, offchain no. */
  readonly localVerify: boolean
  /** `-orchMinLivepeerVersion`; empty for any. */
  readonly minOrchestratorVersion: string
  /** Where orchestrators are found; absent: they are listed. */
  readonly foundAt?: OrchestratorPlace
}

/** What the gateway needs. */
export interface GatewayNeeds {
  readonly directory: Directory
  readonly facts: OrchestratorFacts
  readonly client: SubmissionClient & SessionEnder
  readonly payer: Payer
  readonly signer: Signer
  readonly media: InputMedia
  /** Where segments wait for players. */
  readonly store: ObjectStore
  /** Where they are saved outside; absent: nowhere. */
  readonly outlets?: Outlets
  readonly clock: Clock
  readonly dice: Dice
  readonly log: Log
  readonly events: NodeEvents
  readonly causes?: Causes
  /** Who decides on new streams; absent or null: anyone may publish. */
  readonly authority?: StreamAuthority | null
  /** How it pays; null offchain. */
  readonly paying?: PayingView | null
  /** What records streams; absent or null where nothing does. */
  readonly recorder?: Pick<Recorder, 'begin'> | null
  /** Judges results too; null or absent: none. */
  readonly externalVerifier?: ResultVerifier | null
  /** Where results that were refuted are kept; null or absent: nowhere. */
  readonly refuted?: RefutedResults | null
}
