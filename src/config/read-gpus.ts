import { shown } from './load-flags.ts'
import { refusal } from './reading.ts'

/** The GPUs of -nvidia by number, each once; none for an empty text. Throws SettingsError, which begins with `spelled`. */
export function readGpus(spelled: string, text: string): readonly string[] | 'all' {
  if (text === '' || text === 'all') return text === '' ? [] : 'all'
  const gpus = [...new Set(text.split(',').map((id) => id.trim()))]
  const wrong = gpus.find((id) => !/^\d{1,3}$/.test(id))
  if (wrong === undefined) return gpus
  throw refusal(
    `${spelled} ${shown(text)} holds ${shown(wrong)}, which is no number of a GPU: give numbers as in 0,1, or all`,
  )
}
