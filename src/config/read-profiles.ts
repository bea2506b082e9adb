import { MAX_RENDITIONS, type Profile, parseProfiles, presetNamed, presets } from '../domain/rendition.ts'
import { quotedIfNeeded } from '../lib/printable.ts'
import { shown } from './load-flags.ts'
import { nearest } from './nearest.ts'
import { attempt, entries, type Reading, refusal } from './reading.ts'

/**
 * The renditions of -transcodingOptions: a file is JSON, any other value is a list of presets (transcoding.md §2.3).
 * Adds a warning to `env.warnings` for each ignored preset. Throws SettingsError that begins with `spelled`.
 */
export function readProfiles(
  spelled: string,
  text: string,
  env: { readonly readText: (path: string) => string | null; readonly warnings: string[] },
): readonly Profile[] {
  const json = env.readText(text)
  const profiles =
    json === null
      ? presetsNamed(spelled, entries(text), env.warnings)
      : attempt(`${spelled} ${quotedIfNeeded(text)}`, () => fromJson(json))
  if (profiles.length === 0) throw refusal(`No transcoding profiles found in ${spelled} ${shown(text)}`)
  if (profiles.length > MAX_RENDITIONS) {
    throw refusal(
      `${spelled} has ${profiles.length} renditions, but a transcoder makes at most ${MAX_RENDITIONS}`,
    )
  }
  return profiles
}

/** The renditions in the settings of a node. Throws SettingsError. */
export function profilesOf(reading: Reading): readonly Profile[] {
  return readProfiles(reading.spelled('transcodingOptions'), reading.flags.transcodingOptions, {
    readText: (path) => reading.file(path),
    warnings: reading.warnings,
  })
}

function presetsNamed(spelled: string, names: readonly string[], warnings: string[]): Profile[] {
  return [...new Set(names)].flatMap((name) => {
    const preset = presetNamed(name)
    if (preset) return [preset]
    const guess = nearest(
      name,
      presets.map((known) => known.name),
    )
    const advice = guess ? `did you mean ${guess}?` : 'it is neither a preset nor a file'
    warnings.push(`${spelled}: ${shown(name)} is ignored: ${advice}`)
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
