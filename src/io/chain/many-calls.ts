import { concat, numberToHex, size, slice } from 'viem'
import type { Hex } from '../../lib/bytes.ts'
import type { Address } from '../../lib/crypto.ts'

/** A call of a view. */
export interface ViewCall {
  readonly to: Address
  readonly data: Hex
}

/** The result of one of several calls: its return data, or its revert data. */
export interface CallResult {
  readonly success: boolean
  readonly data: Hex
}

/**
 * EVM code that runs as the constructor of a contract: it makes the calls appended to it one after the other, and
 * returns their results where a constructor returns the contract's code. So one `eth_call` without a target reads many
 * views at one block, on any chain, without a deployed contract (development networks lack Multicall3).
 *
 * Appended for each call: the length of the call data (12 bytes), the address (20), the call data. Returned for each
 * call: 1 for success (1 byte), the length of the return data (31), the return data.
 */
const PROGRAM: Hex = concat([
  '0x60476000', // in = 0x47, where the calls begin; out = 0, where the results go
  '0x5b813811600e57', // loop: is in < code size?
  '0x6000f3', // no: return what was written
  '0x5b6020828239', // yes: copy the call's first word to out
  '0x80519091', // and read it
  '0x602001', // in += 32
  '0x8160a01c', // the upper 12 bytes of the word: the length of the call data
  '0x80828539', // copy the call data to out
  '0x80910192', // in += length
  '0x600060008383865afa', // STATICCALL with all gas left
  '0x60f81b3d17', // success and the length of the return data
  '0x8152602001', // written to out; out += 32
  '0x3d6000823e3d01', // the return data behind it; out += its length
  '0x915050600456', // again
])

/** The length of a word. */
const WORD = 32

/** The call data of one call that makes all these calls. */
export function packCalls(calls: readonly ViewCall[]): Hex {
  const packed = calls.map(({ to, data }) => concat([numberToHex(size(data), { size: 12 }), to, data]))
  return concat([PROGRAM, ...packed])
}

/** The size of one call in that data, in bytes. */
export function packedSize({ data }: ViewCall): number {
  return WORD + size(data)
}

/** The calls that were packed; null for other data. */
export function unpackCalls(packed: Hex): ViewCall[] | null {
  if (!packed.startsWith(PROGRAM)) return null
  const calls: ViewCall[] = []
  for (let at = size(PROGRAM); at < size(packed); ) {
    const length = Number(slice(packed, at, at + 12))
    const data = length === 0 ? '0x' : slice(packed, at + WORD, at + WORD + length)
    calls.push({ to: slice(packed, at + 12, at + WORD) as Address, data })
    at += WORD + length
  }
  return calls
}

/** The results of `count` calls; null for an answer in another form. */
export function readResults(answer: unknown, count: number): CallResult[] | null {
  if (typeof answer !== 'string' || !/^0x([0-9a-f]{2})*$/i.test(answer)) return null
  const bytes = Buffer.from(answer.slice(2), 'hex')
  const results: CallResult[] = []
  let at = 0
  while (at + WORD <= bytes.length && results.length < count) {
    const length = bytes.readUInt32BE(at + WORD - 4)
    const end = at + WORD + length
    if (bytes[at]! > 1 || end > bytes.length) return null
    results.push({ success: bytes[at] === 1, data: `0x${bytes.toString('hex', at + WORD, end)}` })
    at = end
  }
  return results.length === count && at === bytes.length ? results : null
}

/** The answer that `readResults` reads. */
export function writeResults(results: readonly CallResult[]): Hex {
  const written = results.map(({ success, data }) => {
    return concat([success ? '0x01' : '0x00', numberToHex(size(data), { size: WORD - 1 }), data])
  })
  return concat(written)
}
