import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../lib/clock.ts'
import { ConsoleLogin } from './console-login.ts'

const DAY_MS = 24 * 60 * 60_000

/** The part of a `Set-Cookie` that browsers send back. */
function sentBack(cookie: string): string {
  return cookie.split(';', 1)[0]!
}

test('the cookie stands for the token for thirty days, over a restart, and not for another token', async () => {
  const clock = new ManualClock()
  const login = new ConsoleLogin('hush', { clock })
  const cookie = sentBack(login.cookie({ isSecure: false }))
  assert.ok(!cookie.includes('hush'))
  const restarted = new ConsoleLogin('hush', { clock })
  assert.ok(restarted.shows(`other=1; ${cookie}; last=2`))
  assert.ok(!new ConsoleLogin('changed', { clock }).shows(cookie))
  assert.ok(!new ConsoleLogin('', { clock }).shows(cookie), 'without a token nothing stands for it')
  await clock.wind(30 * DAY_MS - 1)
  assert.ok(login.shows(cookie))
  await clock.wind(1)
  assert.ok(!login.shows(cookie))
})

test('scripts cannot read the cookie, other sites do not send it, and over TLS it goes only over TLS', () => {
  const login = new ConsoleLogin('hush', { clock: new ManualClock() })
  const attributes = (cookie: string) => cookie.split('; ').slice(1)
  const plain = ['Path=/', 'Max-Age=2592000', 'HttpOnly', 'SameSite=Strict']
  assert.deepEqual(attributes(login.cookie({ isSecure: false })), plain)
  assert.deepEqual(attributes(login.cookie({ isSecure: true })), [...plain, 'Secure'])
  assert.match(login.ended({ isSecure: false }), /^livepeer-[0-9a-f]{12}=; Path=\/; Max-Age=0; /)
})

test('a cookie that was changed, is malformed or too long is none', () => {
  const login = new ConsoleLogin('hush', { clock: new ManualClock() })
  const good = sentBack(login.cookie({ isSecure: false }))
  const [name, value] = good.split('=') as [string, string]
  const [end, signature] = value.split('.') as [string, string]
  const later = (Number.parseInt(end, 36) + 1).toString(36)
  const wrong = [
    ...[undefined, '', name, `${name}=`, `${name}=.`, `${name}=${signature}`, `x${good}`],
    ...[`${name}=${later}.${signature}`, `${name}=${end}.${signature.slice(1)}`, `${good}0`],
    `${name}=${end}.${'0'.repeat(64)}`,
    `${'a=b; '.repeat(2_000)}${good}`,
  ]
  for (const cookies of wrong) assert.ok(!login.shows(cookies), String(cookies).slice(0, 100))
  assert.ok(login.shows(good))
})

test('only the token itself is the token', () => {
  const login = new ConsoleLogin('hush', { clock: new ManualClock() })
  assert.deepEqual(
    ['hush', 'hus', 'hush ', ''].map((text) => login.isToken(text)),
    [true, false, false, false],
  )
  assert.ok(!new ConsoleLogin('', { clock: new ManualClock() }).isToken(''))
})
