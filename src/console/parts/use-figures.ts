import { useEffect, useRef, useState } from 'preact/hooks'
import type { z } from 'zod'
import { messageOf } from '../../lib/errors.ts'
import { type Figures, read } from '../models/figures.ts'
import { ask, readings } from '../state.ts'

/** Figures that only one view shows are read at most this often. */
const AT_MOST_EVERY_MS = 4_000

/** The figures at a path, read again while the view is shown; null before the first answer. */
export function useFigures<T>(path: string, schema: z.ZodType<T>): Figures<T> | null {
  const [figures, setFigures] = useState<{ readonly of: string; readonly figures: Figures<T> } | null>(null)
  const asked = useRef({ path: '', atMs: 0, isBusy: false })
  const now = readings.value
  useEffect(() => {
    const { atMs, isBusy, path: before } = asked.current
    const isNew = before !== path
    if (!isNew && (isBusy || performance.now() - atMs < AT_MOST_EVERY_MS)) return
    const own = { path, atMs: performance.now(), isBusy: true }
    asked.current = own
    const show = (found: Figures<T>) => {
      own.isBusy = false
      // An answer that another question has overtaken is not shown.
      if (asked.current === own) setFigures({ of: path, figures: found })
    }
    ask(path).then(
      (answer) => show(read(schema, answer)),
      (error) => show({ fault: messageOf(error) }),
    )
  }, [path, now])
  return figures?.of === path ? figures.figures : null
}
