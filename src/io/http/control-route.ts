import type { IncomingMessage, ServerResponse } from 'node:http'
import type { z } from 'zod'
import { NodeError } from '../../lib/errors.ts'

/**
 * A route's answer: a value as JSON for people and programs of this project (bigints as text); a value as JSON in the form of
 * the Go node (`bare`: on one line, bigints as numbers of any size); plain text, of which an empty one has no type; bytes; or
 * what is sent as it comes, for as long as the client stays (`stream`, which writes the head and the rest itself).
 */
export type ControlAnswer =
  | { readonly json: unknown; readonly status?: number }
  | { readonly bare: unknown }
  | {
      readonly text: string
      readonly type?: string
      readonly status?: number
      readonly headers?: Readonly<Record<string, string>>
    }
  | {
      readonly bytes: Uint8Array
      readonly type?: string
      readonly headers?: Readonly<Record<string, string>>
    }
  | { readonly stream: (request: IncomingMessage, response: ServerResponse) => void }

/** Why the control API does not do what it is asked. */
export type ControlFault =
  /** A parameter that is missing, malformed or out of range. */
  | 'bad-parameter'
  /** The node has no chain, or not the role. */
  | 'not-here'
  /** The chain, a contract or the node's own state refuses it. */
  | 'refused'

const STATUS: Readonly<Record<ControlFault, number>> = { 'bad-parameter': 400, 'not-here': 400, refused: 500 }

/** A refusal in the words that are sent, without the line's end. */
export class ControlError extends NodeError<ControlFault> {
  override name = 'ControlError'
  readonly status: number

  /** `status`: where peers know another one than the fault's own (operations.md §4). */
  constructor(
    code: ControlFault,
    message: string,
    status = STATUS[code],
    options: { readonly cause?: unknown } = {},
  ) {
    super(code, message, options)
    this.status = status
  }
}

/** What a route is told of its request, beside its parameters. */
export interface ControlCall {
  /** Aborted when the node stops. */
  readonly signal: AbortSignal
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** Of a folder's route: the rest of the path, percent-encoded. */
  readonly below?: string
}

/** The parameters of a route: texts that become values. A schema's `meta` tells what each is. */
export type ControlParameters = z.ZodObject<Readonly<Record<string, z.ZodType<unknown, string | undefined>>>>

/** One path of the control API: the table of them is what is served, described and checked. */
export interface ControlRoute {
  /** One that ends in a slash and is no folder is that path alone. */
  readonly path: string
  /** Whether it answers every path that begins with its own, which ends in a slash. */
  readonly isFolder?: boolean
  /** What it does, a sentence. */
  readonly about: string
  /** The roles that answer it with more than a refusal; absent: all. */
  readonly roles?: readonly string[]
  /** Whether it changes the node, its account or its peers' view of it: such a route needs POST. */
  readonly changes: boolean
  /** Whether it sends transactions of the account: it can be tried out, with dryRun=true. */
  readonly sends?: boolean
  /** It changes something and answers GET too, to programs on this machine alone. */
  readonly takesGet?: boolean
  /** Served without a token. */
  readonly isOpen?: boolean
  /** It changes something, of which no record is kept, since its parameters are secret. */
  readonly isUnrecorded?: boolean
  readonly params?: ControlParameters
  /** Checked once all required parameters are there: why this node does not answer it; null where it does. */
  refusal?(): ControlError | null
  /** Whether that is checked even before the parameters. */
  readonly refusesFirst?: boolean
  answer(params: never, call: ControlCall): ControlAnswer | Promise<ControlAnswer>
}

/** A route whose answer takes the values of its parameters. */
export function route<Params extends ControlParameters>(
  path: string,
  description: Omit<ControlRoute, 'path' | 'params' | 'answer'> & {
    readonly params?: Params
    answer(params: z.output<Params>, call: ControlCall): ControlAnswer | Promise<ControlAnswer>
  },
): ControlRoute {
  return { path, ...description }
}

/** A change that was asked for, for the record of changes. */
export interface ControlChange {
  readonly path: string
  /** Where the request came from: an IP address. */
  readonly from: string
  /** How it may: with the token, or because nothing asks for one. */
  readonly by: 'token' | 'no token'
  /** The parameters as sent, by name. */
  readonly params: Readonly<Record<string, string>>
  readonly status: number
  /** What was answered, as far as it is text. */
  readonly result: string
}
