import { z } from 'zod'
import type { FormValues } from './control-form.ts'
import { ControlError, type ControlParameters } from './control-route.ts'

/** The longest value of a parameter; typed data to sign is the longest that anybody sends. */
const MAX_VALUE_CHARS = 32 * 1024

/** The names of the parameters that a route cannot do without, in the order in which they are missed. */
export function requiredNames(params: ControlParameters): string[] {
  return Object.entries(params.shape).flatMap(([name, schema]) =>
    schema.safeParse(undefined).success ? [] : [name],
  )
}

/** What a parameter is, in words; empty where its schema does not tell. */
export function descriptionOf(schema: z.ZodType): string {
  const description = schema.meta()?.description
  if (description !== undefined) return description
  return schema instanceof z.ZodOptional ? descriptionOf(schema.unwrap() as z.ZodType) : ''
}

/** Checks that every required parameter has a value; an empty one counts as missing. Throws ControlError. */
export function assertComplete(params: ControlParameters, given: FormValues): void {
  for (const name of requiredNames(params)) {
    if ((given.get(name) ?? '') === '') {
      throw new ControlError('bad-parameter', `missing form param: ${name}`)
    }
  }
}

/** The values of the parameters. Throws ControlError in the words of the first one's schema. */
export function parsedParameters(params: ControlParameters, given: FormValues): Record<string, unknown> {
  const values: Record<string, unknown> = {}
  for (const [name, schema] of Object.entries(params.shape)) {
    const text = given.get(name) ?? ''
    if (text.length > MAX_VALUE_CHARS) {
      throw new ControlError(
        'bad-parameter',
        `${name} has ${text.length} characters, of at most ${MAX_VALUE_CHARS}`,
      )
    }
    const read = schema.safeParse(text === '' ? undefined : text)
    if (!read.success) throw new ControlError('bad-parameter', read.error.issues[0]!.message)
    values[name] = read.data
  }
  return values
}
