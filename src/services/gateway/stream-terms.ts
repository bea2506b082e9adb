import { type Profile, presets } from '../../domain/rendition.ts'
import type { StoreAddress } from '../../domain/store-address.ts'
import { playedName } from '../../domain/stream-name.ts'
import { GatewayError } from './gateway-error.ts'
import type { StreamConfig } from './pushed-segment.ts'
import type { StreamGrant } from './stream-authority.ts'

/** Names are part of paths, playlists and signatures. */
const MAX_MANIFEST_ID_LENGTH = 512

/** On what terms a stream is published. */
export interface StreamTerms {
  /** The name under which it is played. */
  readonly manifestId: string
  /** Null for the gateway's own. */
  readonly profiles: readonly Profile[] | null
  /** For the stream's segments whose publisher sets none. */
  readonly timeoutMultiplier: number
  /** One result in so many is compared with a trusted orchestrator's; 0 for none. A webhook alone decides, if there is one. */
  readonly verificationFrequency: number
  readonly sessionId: string | null
  /** Where its segments are saved for players; null for the gateway's own. */
  readonly objectStore: StoreAddress | null
  /** Its name in events for other programs (gateway.md §13). */
  readonly streamId: string
}

/**
 * What publisher and webhook say together (gateway.md §4): the publisher's word counts before the webhook's, which
 * must list the same profiles. Throws GatewayError `stream-refused`.
 */
export function termsOf(
  externalId: string,
  header: StreamConfig | null,
  grant: StreamGrant | null,
): StreamTerms {
  if (header && grant && JSON.stringify(listed(header)) !== JSON.stringify(listed(grant.config))) {
    throw new GatewayError('stream-refused', 'the header asks for other profiles than the webhook')
  }
  const asked = header?.manifestId ?? null
  const played = asked === null ? grantedName(externalId, grant) : playedName(asked, externalId)
  const manifestId = checkedName(played, externalId)
  return {
    manifestId,
    profiles: header?.profiles ?? grant?.config.profiles ?? null,
    timeoutMultiplier: grant?.config.timeoutMultiplier ?? 1,
    verificationFrequency: (grant ? grant.config : header)?.verificationFrequency ?? 0,
    // Who asks a webhook goes by its names, which no publisher can take.
    sessionId: (grant ? grant.sessionId : header?.sessionId) ?? null,
    objectStore: grant?.objectStore ?? null,
    streamId: (grant ? grant.streamId : header?.streamId) ?? manifestId,
  }
}

/** The name under which the webhook lets a stream be played: its own, or that in the URL if it names none. */
export function grantedName(externalId: string, grant: StreamGrant | null): string {
  const granted = grant?.config.manifestId ?? null
  return (granted !== null && playedName(granted, externalId)) || externalId
}

function checkedName(manifestId: string, externalId: string): string {
  if (manifestId === '') throw new GatewayError('stream-refused', 'empty manifest id not allowed')
  if (manifestId.length > MAX_MANIFEST_ID_LENGTH || externalId.length > MAX_MANIFEST_ID_LENGTH) {
    throw new GatewayError(
      'stream-refused',
      `a stream's name has at most ${MAX_MANIFEST_ID_LENGTH} characters`,
    )
  }
  if (manifestId === '.' || manifestId === '..') {
    throw new GatewayError(
      'stream-refused',
      `a stream cannot be named "${manifestId}", which no path can hold`,
    )
  }
  return manifestId
}

/** The profiles that are listed one by one, not as presets, which are shared objects. */
function listed({ profiles }: StreamConfig): readonly Profile[] {
  return (profiles ?? []).filter((profile) => !presets.includes(profile))
}
