import { NodeError } from '../../../lib/errors.ts'

/** Why media work failed: by what it read, not done in time, the worker ended under it, or there was no engine to do it. */
export type MediaFault = 'media' | 'media-late' | 'media-death' | 'media-stopped'

/** A segment that could not be worked on. The message is compared by peers: exactly the text of transcoding.md §9. */
export class MediaError extends NodeError<MediaFault> {
  override name = 'MediaError'

  constructor(
    message: string,
    options: { code?: MediaFault; cause?: unknown; details?: Record<string, unknown> } = {},
  ) {
    super(options.code ?? 'media', message, options)
  }
}

/** Work that was not begun in time, or at all, because of what is before it: for no fault of the segment. */
export class BusyError extends NodeError<'media-busy'> {
  override name = 'BusyError'

  constructor() {
    super('media-busy', 'Too much media work is waiting')
  }
}
