import { NodeError } from '../../lib/errors.ts'

/** A segment that could not be worked on. The message is compared by peers: exactly the text of transcoding.md §9. */
export class MediaError extends NodeError<'media'> {
  override name = 'MediaError'

  constructor(message: string, options: { cause?: unknown; details?: Record<string, unknown> } = {}) {
    super('media', message, options)
  }
}

/** Work that was not begun in time, or at all, because of what is before it: for no fault of the segment. */
export class BusyError extends NodeError<'media-busy'> {
  override name = 'BusyError'

  constructor() {
    super('media-busy', 'Too much media work is waiting')
  }
}
