import { z } from 'zod'
import { MAX_RENDITIONS, type Profile, parseProfiles, presetNamed } from '../../domain/rendition.ts'
import { messageOf, NodeError } from '../../lib/errors.ts'
import type { StreamConfig } from '../../services/gateway/gateway.ts'

const text = z.string().nullish()
const notYet = (what: string) =>
  text.refine((value) => !value, { error: `${what} is not supported by this gateway` })

/** The fields of the header and of a webhook's answer (gateway.md §4). Unknown fields are ignored. */
const schema = z
  .object({
    manifestID: text,
    streamKey: text,
    streamID: text,
    sessionID: text,
    presets: z.array(z.string()).nullish(),
    profiles: z.array(z.unknown()).nullish(),
    objectStore: notYet('objectStore'),
    recordObjectStore: notYet('recordObjectStore'),
    recordObjectStoreUrl: text,
    previousSessions: z.array(z.string()).nullish(),
    verificationFreq: z
      .int()
      .min(0)
      .nullish()
      .refine((value) => !value, { error: 'verificationFreq is not supported by this gateway' }),
    timeoutMultiplier: z.int().nullish(),
    forceSessionReinit: z.boolean().nullish(),
  })
  .nullable()

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
    throw bad(messageOf(error))
  }
  const parsed = schema.safeParse(json)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!
    throw bad(`${issue.path.length > 0 ? `${issue.path.join('.')}: ` : ''}${issue.message}`)
  }
  const fields = parsed.data ?? {}
  return {
    manifestId: fields.manifestID || null,
    profiles: profilesOf(fields.presets ?? [], fields.profiles ?? null),
    timeoutMultiplier: fields.timeoutMultiplier ?? 1,
    forceSessionReinit: fields.forceSessionReinit ?? false,
  }
}

function profilesOf(
  presets: readonly string[],
  profiles: readonly unknown[] | null,
): readonly Profile[] | null {
  if (profiles === null && presets.length === 0) return null
  const named = presets.map(presetNamed).filter((preset) => preset !== null)
  let all: Profile[]
  try {
    all = [...named, ...parseProfiles(profiles ?? [])]
  } catch (error) {
    throw bad(messageOf(error))
  }
  if (all.length > MAX_RENDITIONS) throw bad(`${all.length} renditions, more than ${MAX_RENDITIONS}`)
  const names = new Set(all.map(({ name }) => name))
  if (names.size < all.length) throw bad('two renditions have the same name')
  return all
}

function bad(reason: string): NodeError<'bad-stream-config'> {
  return new NodeError<'bad-stream-config'>('bad-stream-config', reason)
}
