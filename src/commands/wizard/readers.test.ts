import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ETH_TYPED, LPT_TYPED, WEI_TYPED } from '../../domain/typed-amount.ts'
import {
  address,
  amountIn,
  currency,
  oneOf,
  percent,
  pixels,
  price,
  serviceUri,
  sessions,
  someOf,
} from './readers.ts'

const TOKEN = 10n ** 18n
const chosen = oneOf([0n, 2n], 'lock')
const profiles = someOf(3, 'profile')
const bonded = amountIn(LPT_TYPED, { least: 1n, most: 5n * TOKEN, mostIs: 'the balance' })

test('answers become what is sent', () => {
  const rows: [read: (answer: string) => unknown, answer: string, value: unknown][] = [
    [bonded, '7', 7n],
    [bonded, '2.5 LPT', (5n * TOKEN) / 2n],
    [bonded, '5lpt', 5n * TOKEN],
    [amountIn(ETH_TYPED), '0.25', TOKEN / 4n],
    [amountIn(ETH_TYPED), '3 gwei', 3_000_000_000n],
    [amountIn(WEI_TYPED), '100000000000', 100_000_000_000n],
    [chosen, '2', 2n],
    [profiles, '2, 0,2', [2, 0]],
    [percent, '12.5', 125_000n],
    [percent, '100', 1_000_000n],
    [pixels, '10', '10'],
    [pixels, '1 pixel', '1'],
    [currency, 'Wei', 'Wei'],
    [price, '0', '0'],
    [price, '0.5', '0.5'],
    [price, '1/3', '1/3'],
    [serviceUri, 'https://o.example:8935', 'https://o.example:8935'],
    [serviceUri, 'https://[2001:db8::1]:443/x', 'https://[2001:db8::1]:443/x'],
    [sessions, 'auto', 'auto'],
    [sessions, '12', '12'],
  ]
  for (const [read, answer, value] of rows) assert.deepEqual(read(answer), value, answer)
})

test('what is malformed, out of range or ambiguous is refused with the reason', () => {
  const rows: [read: (answer: string) => unknown, answer: string, words: RegExp][] = [
    [bonded, '0', /0 LPTU is too little: at least 1 LPTU/],
    [bonded, '1.5', /1\.5 is in LPTU, which has no fractions/],
    [bonded, '6 LPT', /6 LPT is more than the balance, 5 LPT/],
    [bonded, '1 ETH', /unit/],
    [bonded, '-1', /is negative/],
    [bonded, (2n ** 256n + 1n).toString(), /larger than 2\^256 − 1/],
    [amountIn(ETH_TYPED), '1.1234567890123456789', /more than the 18 decimals of ETH/],
    [address, '0x12', /is not an address/],
    [address, '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293Bc', /checksum/],
    [address, `0x${'0'.repeat(40)}`, /the zero address is nobody’s/],
    [chosen, '1', /"1" is no lock of the list: 0, 2/],
    [chosen, 'abc', /"abc" is no lock/],
    [profiles, '0,3', /"3" is no profile/],
    [profiles, '', /"" is no profile/],
    [percent, '101', /more than 100/],
    [percent, 'x', /"x" is not a percentage/],
    [percent, 'NaN', /is not a percentage/],
    [percent, '1.00001', /at most 4 decimals/],
    [pixels, '0', /a whole number above 0/],
    [currency, '1', /is not a currency/],
    [price, '-1', /-1 is negative/],
    [price, 'abc', /is not a price/],
    [serviceUri, 'nonsense', /write https:\/\/HOST:PORT/],
    [serviceUri, 'https://127.0.0.1', /has no port/],
    [serviceUri, 'https://:8935', /write https:\/\/HOST:PORT/],
    [serviceUri, 'https://0.0.0.0:8935', /not a host that gateways can call/],
    [serviceUri, 'ftp://o.example:21', /write https:\/\/HOST:PORT/],
    [sessions, '-5', /greater than zero/],
    [sessions, '', /greater than zero/],
  ]
  for (const [read, answer, words] of rows) assert.throws(() => read(answer), { message: words }, answer)
})
