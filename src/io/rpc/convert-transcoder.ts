import type { MessageInitShape } from '@bufbuild/protobuf'
import { type Notice, type Registration, shownLabels } from '../../domain/transcoder-notice.ts'
import { messageOf } from '../../lib/errors.ts'
import { readCapabilities, writeCapabilities } from './convert-capabilities.ts'
import { RETIRED_PROFILES, readSegment, writeSegment } from './convert-segment.ts'
import type {
  NotifySegment,
  NotifySegmentSchema,
  RegisterRequest,
  RegisterRequestSchema,
} from './gen/lp_rpc_pb.ts'

/** Converts a registration for the wire. */
export function writeRegistration(
  registration: Registration,
): MessageInitShape<typeof RegisterRequestSchema> {
  const { capabilities, capacity, hardware = '', name = '', secret } = registration
  return {
    secret,
    capacity: BigInt(capacity),
    ...(capabilities && { capabilities: writeCapabilities(capabilities) }),
    ...{ name, hardware },
  }
}

/** Reads a registration; its labels are cleaned and cut. Throws NodeError for oversized capabilities. */
export function readRegistration(request: RegisterRequest): Registration {
  const { capabilities, capacity, secret } = request
  return {
    ...shownLabels(request),
    secret,
    capacity: Number(capacity > 0n ? (capacity < MAX_CAPACITY ? capacity : MAX_CAPACITY) : 0n),
    capabilities: capabilities ? readCapabilities(capabilities) : null,
  }
}

/** Converts a notice to a transcoder for the wire. */
export function writeNotice(notice: Notice): MessageInitShape<typeof NotifySegmentSchema> {
  switch (notice.kind) {
    case 'task':
      return {
        url: notice.url,
        taskId: notice.taskId,
        orchId: notice.orchestrator,
        profiles: RETIRED_PROFILES,
        segData: writeSegment(notice.segment),
      }
    case 'unreadable':
      return { taskId: notice.taskId }
    case 'teardown':
      // Only the session id is set (wire.md §17).
      return { segData: { authToken: { sessionId: notice.sessionId } } }
  }
}

/** Reads a notice from an orchestrator; a task that cannot be read becomes its error text (wire.md §13). */
export function readNotice(message: NotifySegment): Notice {
  const { orchId, segData, taskId, url } = message
  const sessionId = segData?.authToken?.sessionId ?? ''
  if (sessionId !== '' && url === '') return { kind: 'teardown', sessionId }
  if (!segData) return { kind: 'unreadable', taskId, text: 'empty seg data' }
  try {
    return { kind: 'task', taskId, url, orchestrator: orchId, segment: readSegment(segData) }
  } catch (error) {
    return { kind: 'unreadable', taskId, text: messageOf(error) }
  }
}

/** A higher capacity is a mistake. */
const MAX_CAPACITY = 1_000_000n
