import { NodeError } from '../../lib/errors.ts'

/**
 * Why a connection is ended: `protocol` for bytes that are not RTMP, `limit` for more than one connection may have,
 * `media` for a stream that cannot be served.
 */
export type RtmpFault = 'protocol' | 'limit' | 'media'

/** The end of an RTMP connection, in words for the publisher and the log. */
export class RtmpError extends NodeError<RtmpFault> {}
