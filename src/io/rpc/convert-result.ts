import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import type { OrchestratorInfo, TranscodeResult } from '../../domain/segment.ts'
import { concatBytes } from '../../lib/bytes.ts'
import { readInfo, writeInfo } from './convert-info.ts'
import { MAX_PROFILES } from './convert-segment.ts'
import * as wire from './gen/lp_rpc_pb.ts'
import { badMessage, boundedList, boundedText, MAX_URL, parseMessage } from './wire-message.ts'

/** A longer error text is cut, not refused. */
const MAX_ERROR_TEXT = 4096

/**
 * The bytes of a TranscodeResult. The outcome comes last, as the Go node writes it (wire.md §3), which works because
 * the encodings of a message's parts may be concatenated.
 */
export function encodeTranscodeResult(result: TranscodeResult): Uint8Array {
  const encode = (part: MessageInitShape<typeof wire.TranscodeResultSchema>) =>
    toBinary(wire.TranscodeResultSchema, create(wire.TranscodeResultSchema, part))
  return concatBytes(
    encode({ seq: result.seq, ...(result.info && { info: writeInfo(result.info) }) }),
    encode({ result: writeOutcome(result.outcome) }),
  )
}

function writeOutcome(
  outcome: TranscodeResult['outcome'],
): NonNullable<MessageInitShape<typeof wire.TranscodeResultSchema>['result']> {
  switch (outcome.kind) {
    case 'none':
      return { case: undefined }
    case 'error':
      return { case: 'error', value: outcome.text }
    case 'data':
      return {
        case: 'data',
        value: {
          segments: outcome.renditions.map(({ url, pixels, perceptualHashUrl }) => ({
            url,
            pixels,
            perceptualHashUrl,
          })),
          sig: outcome.sig,
        },
      }
  }
}

/** Reads the bytes of a TranscodeResult. */
export function decodeTranscodeResult(bytes: Uint8Array): TranscodeResult {
  const message = parseMessage(wire.TranscodeResultSchema, bytes)
  return {
    seq: message.seq,
    info: message.info ? readInfo(message.info) : null,
    outcome: readOutcome(message.result),
  }
}

function readOutcome(result: wire.TranscodeResult['result']): TranscodeResult['outcome'] {
  switch (result.case) {
    case undefined:
      return { kind: 'none' }
    case 'error':
      return { kind: 'error', text: result.value.slice(0, MAX_ERROR_TEXT) }
    case 'data': {
      const renditions = boundedList(result.value.segments, 'renditions', MAX_PROFILES).map((rendition) => {
        if (rendition.pixels < 0n) throw badMessage('the pixels are negative')
        return {
          url: boundedText(rendition.url, 'rendition URL', MAX_URL),
          pixels: rendition.pixels,
          perceptualHashUrl: boundedText(rendition.perceptualHashUrl, 'hash URL', MAX_URL),
        }
      })
      return { kind: 'data', renditions, sig: result.value.sig }
    }
  }
}

/** The bytes of a PaymentResult (wire.md §11). */
export function encodePaymentResult(info: OrchestratorInfo | null): Uint8Array {
  return toBinary(
    wire.PaymentResultSchema,
    create(wire.PaymentResultSchema, info ? { info: writeInfo(info) } : {}),
  )
}

/** Reads the bytes of a PaymentResult. */
export function decodePaymentResult(bytes: Uint8Array): OrchestratorInfo | null {
  const { info } = parseMessage(wire.PaymentResultSchema, bytes)
  return info ? readInfo(info) : null
}
