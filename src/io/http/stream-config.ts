import { z } from 'zod'
import { MAX_RENDITIONS, type Profile, parseProfiles, presetNamed } from '../../domain/rendition.ts'
import { parseStoreAddress, type StoreAddress } from '../../domain/store-address.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import type { StreamConfig } from '../../services/gateway/pushed-segment.ts'
import type { RecordingGrant } from '../../services/recordings/recordings.ts'

const text = z.string().nullish()
const whole = z.int().nullish()

/** A profile's types; what its values may be is the domain's to say. */
const profile = z.looseObject({
  ...{ name: text, profile: text, gop: text, encoder: text },
  ...{ width: whole, height: whole, bitrate: whole, fps: whole, fpsden: whole },
  ...{ colordepth: whole, chromaformat: whole, quality: whole },
})

/** The fields of the header and of a webhook's answer (gateway.md §4). Unknown fields are ignored. */
const schema = z.object({
  manifestID: text,
  streamKey: text,
  streamID: text,
  sessionID: text,
  presets: z.array(z.string()).nullish(),
  profiles: z.array(z.unknown()).nullish(),
  objectStore: text,
  recordObjectStore: text,
  recordObjectStoreUrl: text,
  previousSessions: z.array(z.string()).nullish(),
  verificationFreq: z.int().min(0).nullish(),
  timeoutMultiplier: whole,
  forceSessionReinit: z.boolean().nullish(),
})

/** What a header or a webhook says of a stream, with the types of its fields checked. */
export type StreamFields = z.infer<typeof schema>

const spellings = new Map(Object.keys(schema.shape).map((name) => [name.toLowerCase(), name]))

/** They go into events and the log. */
const MAX_NAME = 512

/** What only a webhook may set: a publisher would have this gateway write wherever it likes. */
const WEBHOOK_FIELDS = ['objectStore', 'recordObjectStore'] as const

/**
 * Reads the `Livepeer-Transcode-Configuration` header in Node's form, with bytes as characters. Presets come before
 * profiles; unknown presets are ignored; without either the gateway's own profiles apply. Throws NodeError
 * `bad-stream-config`.
 */
export function parseStreamConfig(header: string): StreamConfig {
  let json: unknown
  try {
    json = JSON.parse(Buffer.from(header, 'latin1').toString('utf8'))
  } catch (error) {
    throw malformed(messageOf(error))
  }
  const fields = json === null ? {} : streamFieldsOf(json)
  const reserved = WEBHOOK_FIELDS.find((name) => fields[name])
  if (reserved) throw malformed(`${reserved} can only be set by the webhook of -authWebhookUrl`)
  const { sessionID, streamID } = fields
  for (const [field, name] of Object.entries({ sessionID, streamID })) {
    if (name && name.length > MAX_NAME) throw malformed(`${field} has more than ${MAX_NAME} characters`)
  }
  const names = { ...(streamID && { streamId: streamID }), ...(sessionID && { sessionId: sessionID }) }
  try {
    return { ...streamConfigOf(fields), ...names }
  } catch (error) {
    throw malformed(messageOf(error))
  }
}

/** Checks the types of fields, whose names may be in any case, as peers read JSON. Throws NodeError `bad-stream-config`. */
export function streamFieldsOf(json: unknown): StreamFields {
  const isObject = typeof json === 'object' && json !== null && !Array.isArray(json)
  const parsed = schema.safeParse(isObject ? spelled(json, (name) => spellings.get(name)) : json)
  if (!parsed.success) throw malformed(sentenceOf(parsed.error))
  for (const [index, one] of (parsed.data.profiles ?? []).entries()) {
    const isOne = typeof one === 'object' && one !== null && !Array.isArray(one)
    const types = profile.safeParse(isOne ? spelled(one, (name) => name) : one)
    if (!types.success) throw malformed(`profiles.${index}.${sentenceOf(types.error)}`)
  }
  return parsed.data
}

/** What fields say of the recordings of a stream. Throws NodeError `bad-stream-terms`, whose message holds no key. */
export function recordingGrantOf(fields: Partial<StreamFields>): RecordingGrant {
  return {
    store: fields.recordObjectStore ? storeAt('recordObjectStore', fields.recordObjectStore) : null,
    publicUrl: (fields.recordObjectStoreUrl && URL.parse(fields.recordObjectStoreUrl)?.href) || null,
    previousSessions: fields.previousSessions ?? [],
  }
}

/** The terms that fields set for a stream. Throws NodeError `bad-stream-terms` where a value is none that there is. */
export function streamConfigOf(fields: Partial<StreamFields>): StreamConfig {
  return {
    manifestId: fields.manifestID || null,
    profiles: profilesOf(fields.presets ?? [], fields.profiles ?? null),
    timeoutMultiplier: fields.timeoutMultiplier ?? 1,
    forceSessionReinit: fields.forceSessionReinit ?? false,
    ...(fields.verificationFreq && { verificationFrequency: fields.verificationFreq }),
  }
}

/** The store that a field names. Throws NodeError `bad-stream-terms`, whose message holds no key. */
export function storeAt(field: 'objectStore' | 'recordObjectStore', text: string): StoreAddress {
  try {
    return parseStoreAddress(text)
  } catch (error) {
    throw unusable(`${field} ${messageOf(error)}`)
  }
}

function profilesOf(
  presets: readonly string[],
  profiles: readonly unknown[] | null,
): readonly Profile[] | null {
  if (profiles === null && presets.length === 0) return null
  const named = presets.map((name) => presetNamed(name.trim())).filter((preset) => preset !== null)
  let all: Profile[]
  try {
    all = [...named, ...parseProfiles(profiles ?? [])]
  } catch (error) {
    throw unusable(messageOf(error))
  }
  if (all.length > MAX_RENDITIONS) throw unusable(`${all.length} renditions, more than ${MAX_RENDITIONS}`)
  const names = new Set(all.map(({ name }) => name))
  if (names.size < all.length) throw unusable('two renditions have the same name')
  return all
}

/** The object with its keys as they are spelled here, those that are not known left out. */
function spelled(json: object, nameOf: (lowerCase: string) => string | undefined): Record<string, unknown> {
  const known = Object.entries(json).map(([key, value]) => [nameOf(key.toLowerCase()), value] as const)
  return Object.fromEntries(known.filter(([name]) => name !== undefined))
}

function sentenceOf({ issues }: z.ZodError): string {
  const { message, path } = issues[0]!
  return `${path.length > 0 ? `${path.join('.')}: ` : ''}${message}`
}

function malformed(reason: string): NodeError<'bad-stream-config'> {
  return new NodeError<'bad-stream-config'>('bad-stream-config', reason)
}

function unusable(reason: string): NodeError<'bad-stream-terms'> {
  return new NodeError<'bad-stream-terms'>('bad-stream-terms', reason)
}
