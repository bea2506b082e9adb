import { ALERT_FORMS, type AlertTarget, alertTargetOf } from '../domain/alert-target.ts'
import { environmentName } from './load-flags.ts'
import { entries, type Reading, refusal } from './reading.ts'

const MAX_TARGETS = 10
const MAX_DAYS = 365n

/** Reads where alerts are sent. Throws SettingsError, whose text shows nothing of a URL. */
export function readAlertTargets(reading: Reading): readonly AlertTarget[] {
  const spelled = reading.spelled('alert')
  const given = entries(reading.flags.alert).flatMap((entry) => {
    const content = reading.file(entry)
    if (content !== null) return content.split('\n').map((line) => line.trim())
    return [entry]
  })
  const texts = [...new Set(given.filter((text) => text !== ''))]
  if (texts.length > MAX_TARGETS) {
    throw refusal(`${spelled} gives ${texts.length} URLs, of at most ${MAX_TARGETS}`)
  }
  const targets = texts.map((text, i) => {
    const target = alertTargetOf(text)
    // The URL may contain a key, so it is not printed.
    if (target) return target
    const forms = ALERT_FORMS.slice(1).map((form) => `${form}+`)
    throw refusal(
      `entry ${i + 1} of ${spelled} is neither an http or https URL, with ${forms.join(', ')} or nothing in front, nor a file with such URLs`,
    )
  })
  const isOpen = targets.some(({ url }) => !/^https?:\/\/[^/@?#]+\/?(api\/v2\/alerts)?$/.test(url))
  if (spelled.startsWith('-') && isOpen && texts.some((text) => reading.flags.alert.includes(text))) {
    reading.warnings.push(
      `${spelled} is given as text on the command line, which every user of this machine can read: write it to a file and give its path, or set ${environmentName('alert')}`,
    )
  }
  return targets
}

/** Reads for how many days an account's balance is to last. Throws SettingsError. */
export function readAlertBalanceDays(reading: Reading): number {
  const { alertBalanceDays: days } = reading.flags
  if (days >= 1n && days <= MAX_DAYS) return Number(days)
  throw refusal(`${reading.spelled('alertBalanceDays')} must be between 1 and ${MAX_DAYS}, not ${days}`)
}
