import { shown } from './load-flags.ts'
import { refusal } from './reading.ts'

/**
 * The GPU numbers of -nvidia without duplicates; empty for an empty text. Throws SettingsError that begins with
 * `spelled`.
 */
export function readGpus(spelled: string, text: string): readonly string[] | 'all' {
  if (text === '' || text === 'all') return text === '' ? [] : 'all'
  const gpus = [...new Set(text.split(',').map((id) => id.trim()))]
  const wrong = gpus.find((id) => !/^\d{1,3}$/.test(id))
  if (wrong === undefined) return gpus
  throw refusal(
    `${spelled} ${shown(text)} holds ${shown(wrong)}, which is not a GPU number: give numbers such as 0,1, or all`,
  )
}
