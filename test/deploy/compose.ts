import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { z } from 'zod'

/** The folder of the Compose files. */
export const COMPOSE = fileURLToPath(new URL('../../deploy/compose/', import.meta.url))

const dependencies = z.union([z.array(z.string()), z.record(z.string(), z.unknown())])
const service = z.strictObject({
  image: z.string().optional(),
  extends: z.strictObject({ file: z.string(), service: z.string() }).optional(),
  restart: z.literal('unless-stopped').optional(),
  command: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.string()).default({}),
  secrets: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  depends_on: dependencies.default([]),
  read_only: z.boolean().optional(),
  tmpfs: z.array(z.string()).optional(),
  cap_drop: z.array(z.string()).optional(),
  security_opt: z.array(z.string()).optional(),
  stop_grace_period: z.string().optional(),
  shm_size: z.string().optional(),
  healthcheck: z.record(z.string(), z.unknown()).optional(),
  logging: z.record(z.string(), z.unknown()).optional(),
})
const file = z.object({
  services: z.record(z.string(), service),
  volumes: z.record(z.string(), z.null()).default({}),
  secrets: z.record(z.string(), z.strictObject({ file: z.string() })).default({}),
})

/** A service of a Compose file, with what it extends merged in and variables replaced. */
export type ComposeService = z.infer<typeof service> & { readonly isNode: boolean }

/** A Compose file as far as these files use the format; throws for a key that they do not use. */
export interface ComposeFile {
  readonly services: ReadonlyMap<string, ComposeService>
  readonly volumes: readonly string[]
  readonly secrets: readonly string[]
}

/** Reads a Compose file with these variables. Throws for a variable that is missing where one is required. */
export function readCompose(name: string, variables: Readonly<Record<string, string>>): ComposeFile {
  const read = file.parse(
    parse(replaced(readFileSync(`${COMPOSE}${name}`, 'utf8'), variables), { merge: true }),
  )
  const services = Object.entries(read.services).map(([key, own]): [string, ComposeService] => {
    if (!own.extends) return [key, { ...own, isNode: false }]
    const base = readCompose(own.extends.file, variables).services.get(own.extends.service)
    if (!base) throw new Error(`${name}: ${key} extends a service that does not exist`)
    return [
      key,
      {
        ...base,
        ...definedOf(own),
        environment: { ...base.environment, ...own.environment },
        secrets: [...base.secrets, ...own.secrets],
        isNode: true,
      },
    ]
  })
  return {
    services: new Map(services),
    volumes: Object.keys(read.volumes),
    secrets: Object.keys(read.secrets),
  }
}

/** The variables of example.env. */
export function exampleVariables(): Record<string, string> {
  const lines = readFileSync(`${COMPOSE}example.env`, 'utf8').split('\n')
  return Object.fromEntries(
    lines.flatMap((line) => {
      const [, name, value] = /^(\w+)=(.*)$/.exec(line) ?? []
      return name === undefined || value === undefined ? [] : [[name, value]]
    }),
  )
}

function replaced(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replace(
    /\$\{(\w+)(?::([-?])([^}]*))?\}/g,
    (_, name: string, kind: string | undefined, rest: string) => {
      const value = variables[name]
      if (value !== undefined) return value
      if (kind === '-') return rest
      throw new Error(`${name} is missing: ${rest}`)
    },
  )
}

function definedOf<T extends object>(given: T): Partial<T> {
  const entries = Object.entries(given).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as Partial<T>
}
