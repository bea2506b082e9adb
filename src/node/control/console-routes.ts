import { z } from 'zod'
import { ConsoleFiles } from '../../io/http/console-files.ts'
import type { ConsoleLogin } from '../../io/http/console-login.ts'
import {
  type ControlAnswer,
  type ControlCall,
  ControlError,
  type ControlRoute,
  route,
} from '../../io/http/control-route.ts'
import type { LiveEvents } from '../../io/http/live-events.ts'
import { find } from '../../io/http/playback.ts'
import { type ControlledNode, notReady } from './context.ts'

/** Rounds whose rewards are shown. */
const SHOWN_ROUNDS = 60
/** Kinds that a reader may name. */
const MAX_KINDS = 100

/** What the console needs beside the node's other routes. */
export interface ConsoleNeeds {
  readonly live: LiveEvents
  readonly login: ConsoleLogin
  /** Absent: those that the bundle has. */
  readonly files?: ConsoleFiles
}

/** The console, a web page, and what only it needs: the events as they happen, a gateway's streams to play, and the token once. */
export function consoleRoutes(
  { progress }: Pick<ControlledNode, 'progress'>,
  needs: ConsoleNeeds,
): ControlRoute[] {
  const { files = new ConsoleFiles(), live, login } = needs
  return [
    route('/', {
      about: 'The console, a web page.',
      changes: false,
      isOpen: true,
      answer: () => files.page(),
    }),
    route('/console/', {
      about: 'The files of the console.',
      changes: false,
      isOpen: true,
      isFolder: true,
      answer: (_, { below = '' }) => files.file(below),
    }),
    route('/console/login', {
      about: 'Makes a browser known that shows the token, by a cookie that scripts cannot read.',
      changes: true,
      isOpen: true,
      isUnrecorded: true,
      params: z.object({ token: z.string().meta({ description: 'The token of -cliToken.' }) }),
      answer: ({ token }, call) => {
        if (!login.isToken(token))
          throw new ControlError('refused', 'that is not the token of -cliToken', 403)
        return { text: '', headers: { 'set-cookie': login.cookie(wayOf(call)) } }
      },
    }),
    route('/console/logout', {
      about: 'Makes a browser forget that it is known.',
      changes: true,
      isOpen: true,
      isUnrecorded: true,
      answer: (_, call) => ({ text: '', headers: { 'set-cookie': login.ended(wayOf(call)) } }),
    }),
    route('/events', {
      about: 'What happens in the node, as server-sent events, each a JSON object with its kind and time.',
      changes: false,
      params: z.object({
        kinds: z
          .string()
          .optional()
          .meta({ description: 'The kinds wanted, with commas between; absent: all.' }),
      }),
      answer: ({ kinds = '' }) => {
        const wanted = new Set(kinds.split(',', MAX_KINDS).filter((kind) => kind !== ''))
        return { stream: (request, response) => live.open(request, response, wanted) }
      },
    }),
    route('/rewards', {
      about:
        'What became of the reward of each of the last rounds, as far as it was noted; null: not called.',
      changes: false,
      answer: () => rewards(progress),
    }),
    route('/stream/', {
      about: 'The playlists and segments of a gateway, as on its own port: NAME.m3u8 and what that names.',
      roles: ['gateway'],
      changes: false,
      isFolder: true,
      answer: (_, { below = '' }) => played(progress, below),
    }),
  ]
}

/** The rewards of the last rounds, as far as nodes of this store noted them. */
async function rewards(progress: ControlledNode['progress']): Promise<ControlAnswer> {
  if (!progress.running || !progress.hasStarted) throw notReady(progress)
  const { chain, core } = progress.running.parts
  // Without a chain there are no rewards, and a transcoder opens no store.
  const rounds = chain ? await core.store.records.lastRewards(SHOWN_ROUNDS) : []
  return {
    json: {
      rounds: rounds.map(({ fee, reward, ...facts }) => ({ ...facts, rewardLptu: reward, feeWei: fee })),
    },
  }
}

/** Whether a browser came over TLS, which ends at a proxy: its page's address tells. */
function wayOf({ headers }: ControlCall): { isSecure: boolean } {
  return { isSecure: String(headers.origin ?? '').startsWith('https://') }
}

async function played(progress: ControlledNode['progress'], below: string): Promise<ControlAnswer> {
  if (!progress.running) throw notReady(progress)
  const { gateway } = progress.running.parts
  const path = decoded(below)
  const found =
    gateway && path !== null
      ? await find(`/stream/${path}`, gateway.gateway, { currentManifest: false })
      : null
  if (!found) return { text: '404 page not found\n', status: 404 }
  const { body, caching, type } = found
  return {
    bytes: typeof body === 'string' ? Buffer.from(body) : body,
    type,
    headers: { ...caching, 'x-content-type-options': 'nosniff' },
  }
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}
