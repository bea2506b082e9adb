import type { MediaFault } from '../../../domain/failed-work.ts'
import { NodeError } from '../../../lib/errors.ts'

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

/** Work that was not begun in time, or at all, because of the work before it: the segment is not at fault. */
export class BusyError extends NodeError<MediaFault> {
  override name = 'BusyError'

  constructor() {
    super('media-busy', 'Too much media work is waiting')
  }
}
