import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

/** The acceptance cases and sharp edges of the gateway (gateway.md §16, §17), each with the test that shows it here. */

const folder = new URL('../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, folder), 'utf8')

/** A file, and the name of a test or of a case in it. */
type Shown = readonly [file: string, name: string]

const HTTP = 'src/io/http/gateway-http.test.ts'
const GATEWAY = 'src/services/gateway/gateway.test.ts'
const SESSIONS = 'src/services/gateway/sessions.test.ts'
const DISCOVERY = 'src/services/gateway/discovery.test.ts'
const RECORDINGS = 'src/io/http/recorded-recordings.test.ts'
const SELECTION = 'src/domain/selection.test.ts'

/** In the order of the table of gateway.md §16. */
const CASES: readonly Shown[] = [
  [HTTP, 'one failing orchestrator: 503 while tries are left, then 422 with its text'],
  [HTTP, 'an error about the input is answered with 422 at once'],
  [HTTP, 'a pushed segment is refused with the right status and text'],
  ['src/io/http/recorded-webhook.test.ts', "record.case.endsWith('webhook not listening')"],
  [HTTP, 'without orchestrators: 503; with ingest off: 404'],
  [HTTP, 'an mp4 is stored only as mp4 and returned as mp4'],
  [GATEWAY, 'a pusher may rename the stream; a second name for it ends the older one'],
  ['src/io/http/auth-webhook.test.ts', `'{"streamID":"123"}'`],
  [GATEWAY, 'as many streams as -maxSessions allows now, and one more when one has ended'],
  [GATEWAY, 'hit max transcode attempts: UnknownResponse'],
  [GATEWAY, 'durations below zero and above five minutes are refused'],
  ['src/services/gateway/ticket-sender.test.ts', 'is refused, which takes no credit; exactly twice is not'],
  [GATEWAY, 'hit max transcode attempts: Server error'],
  ['src/services/gateway/ticket-payment.test.ts', 'of 5 wei of credit and 7 in tickets'],
  [SESSIONS, 'in a pool of 40, of which 8 are asked for'],
  [SELECTION, 'probabilities combine price and stake as the Go node does'],
  [DISCOVERY, 'further nodes are followed one level deep, up to extraNodes each, none twice'],
  ['src/domain/attempt.test.ts', 'the best of the three is used'],
  ['src/services/gateway/fast-verification.test.ts', 'a false hash before a good result'],
  [RECORDINGS, 'recordObjectStoreUrl: track'],
]

/** The edges of gateway.md §17 by number, from 1. */
const EDGES: readonly Shown[] = [
  ['src/config/settings.test.ts', "bind: { host: '127.0.0.1', port: 9935 }"],
  ['src/io/rtmp/rtmp-port.test.ts', 'a second publisher of a name is told so, and the first goes on'],
  ['src/io/rtmp/recorded.test.ts', 'any key plays; from a key frame on'],
  ['src/domain/stream-name.test.ts', "['/movie.v2/key', 'movie.v2', 'key']"],
  ['src/domain/playlist.test.ts', 'a duplicate of a segment in a full window evicts nothing'],
  [HTTP, 'players get playlists and segments with the headers they need'],
  ['src/domain/suspension.test.ts', 'a penalty lasts its number of half minutes'],
  ['src/services/gateway/webhook-orchestrators.test.ts', 'any score is taken'],
  [DISCOVERY, 'an empty list blocks no address, not even the zero address'],
  [GATEWAY, 'an orchestrator that fails is left for another, and the segment is done'],
  [SELECTION, 'no price fails even without a maximum'],
  [SESSIONS, 'a complete pool with one orchestrator does not ask it before every segment'],
  ['src/io/http/recorded-orchestrators.test.ts', 'a stream that begins while the list is empty'],
  [DISCOVERY, "assert.equal(await discovery.size('trusted'), 1 + extraNodes)"],
  [DISCOVERY, 'makes no offer is a cause until it makes one'],
  [GATEWAY, 'an orchestrator that cannot slice gets published streams'],
  [GATEWAY, 'the third result with false pixels has to do'],
  ['src/services/gateway/ticket-sender.test.ts', 'share the credit instead of each taking all of it'],
  [GATEWAY, 'no headers in time: the credit is as before'],
  [HTTP, 'players get playlists and segments with the headers they need'],
  [RECORDINGS, 'the connection is not cut'],
  [HTTP, 'health, unknown paths, other methods and broken escapes'],
  [SESSIONS, 'a session that becomes too expensive is left'],
]

const text = read('docs/protocol/gateway.md')
/** The rows of the table of a section. */
const rowsOf = (section: number) =>
  text
    .split(/^## /m)
    .find((part) => part.startsWith(`${section}. `))!
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(1)

for (const [section, shown] of [
  [16, CASES],
  [17, EDGES],
] as const) {
  test(`every row of section ${section} of gateway.md has a test here`, () => {
    assert.equal(rowsOf(section).length, shown.length)
    const files = new Map<string, string>()
    for (const [index, [file, name]] of shown.entries()) {
      const tests = files.get(file) ?? read(file)
      files.set(file, tests)
      assert.ok(tests.includes(name), `row ${index + 1}: ${file} has no "${name}"`)
    }
  })
}
