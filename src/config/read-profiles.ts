import { MAX_RENDITIONS, type Profile, parseProfiles, presetNamed, presets } from '../domain/rendition.ts'
import { shown } from './load.ts'
import { nearest } from './nearest.ts'
import { attempt, entries, type Reading, refusal } from './reading.ts'

/** Renditions of a stream: a file is JSON, anything else is names of presets (transcoding.md §2.3). Throws SettingsError. */
export function readProfiles(reading: Reading): readonly Profile[] {
  const { transcodingOptions: text } = reading.flags
  const spelled = reading.spelled('transcodingOptions')
  const json = reading.file(text)
  const profiles =
    json === null ? presetsNamed(reading, entries(text)) : attempt(`${spelled} ${text}`, () => fromJson(json))
  if (profiles.length === 0) throw refusal(`No transcoding profiles found in ${spelled} ${shown(text)}`)
  if (profiles.length > MAX_RENDITIONS) {
    throw refusal(
      `${spelled} has ${profiles.length} renditions, and no transcoder makes more than ${MAX_RENDITIONS}`,
    )
  }
  return profiles
}

function presetsNamed(reading: Reading, names: readonly string[]): Profile[] {
  return [...new Set(names)].flatMap((name) => {
    const preset = presetNamed(name)
    if (preset) return [preset]
    const guess = nearest(
      name,
      presets.map((known) => known.name),
    )
    const advice = guess ? `did you mean ${guess}?` : 'it is neither a preset nor a file'
    reading.warnings.push(`${reading.spelled('transcodingOptions')}: ${shown(name)} is left out, ${advice}`)
    return []
  })
}

function fromJson(json: string): Profile[] {
  let parsed: unknown
  try {
    parsed = JSON.parse(json)
  } catch {
    throw refusal('the file is not JSON')
  }
  return parseProfiles(parsed)
}
