import { ether } from '../lib/amounts.ts'
import { escaped } from '../lib/printable.ts'
import type { SkippedOffer } from './skipped-offer.ts'

const MAX_REASON = 200

/** Why an orchestrator is not used, for people. What peers say is quoted without what a terminal would obey. */
export function wordsOfSkipped(offer: SkippedOffer): string {
  switch (offer.kind) {
    case 'silent':
      return `does not answer: ${peerText(offer.reason)}`
    case 'full':
      return 'has no room for another stream'
    case 'reserve-too-small':
      return 'finds this gateway’s reserve too small'
    case 'refuses':
      return `refuses: ${peerText(offer.reason)}`
    case 'blocked':
      return 'is on -orchBlocklist'
    case 'unfit':
      return `lacks ${peerText(offer.missing.join(', '))}`
    case 'too-expensive':
      return `asks ${offer.price.toFixed(3).replace(/\.?0+$/, '')} wei per pixel, more than -maxPricePerUnit allows`
    case 'ticket-ev':
      return `asks for tickets that are worth ${ether(offer.ev.floor())}, more than -maxTicketEV allows`
    case 'face-value':
      return `asks for tickets of ${ether(offer.faceValue)}, which the deposit does not cover`
    case 'unpayable':
      return 'cannot be paid with this gateway’s funds'
    case 'suspended':
      return `is left out ${offer.until}: ${peerText(offer.reason)}`
    case 'busy':
      return 'works on earlier segments'
  }
}

function peerText(text: string): string {
  return escaped(text.slice(0, MAX_REASON))
}
