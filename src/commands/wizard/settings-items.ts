import { WEI_TYPED } from '../../domain/typed-amount.ts'
import { withoutUnprintable } from '../../lib/printable.ts'
import { broadcastAnswer, optionsAnswer, orchestratorAnswer, statusAnswer } from './answers.ts'
import type { ControlChange } from './control.ts'
import { address, amountIn, currency, pixels, price, sessions, someOf } from './readers.ts'
import { askFor, ItemError, type Session } from './session.ts'
import { gasPriceWords, priceIn, priceWords } from './words.ts'

/** Set maximum Ethereum gas price. */
export async function setMaxGasPrice(session: Session): Promise<void> {
  const now = await session.control.text('/maxGasPrice')
  session.write(`Current maximum gas price: ${/^\d+$/.test(now) ? gasPriceWords(BigInt(now)) : 'n/a'}\n`)
  const amount = await askFor(
    session,
    'Enter new maximum gas price in Wei, or with its unit, such as 2 gwei (enter "0" for no maximum gas price) -',
    amountIn(WEI_TYPED),
  )
  const limit = amount === 0n ? 'No maximum gas price' : `Maximum gas price: ${gasPriceWords(amount)}`
  await apply(session, { path: '/setMaxGasPrice', values: { amount: amount.toString() } }, limit)
}

/** Set minimum Ethereum gas price. */
export async function setMinGasPrice(session: Session): Promise<void> {
  const now = await session.control.whole('/minGasPrice')
  session.write(`Current minimum gas price: ${gasPriceWords(now)}\n`)
  const amount = await askFor(
    session,
    'Enter new minimum gas price in Wei, or with its unit, such as 2 gwei -',
    amountIn(WEI_TYPED),
  )
  const change = { path: '/setMinGasPrice', values: { minGasPrice: amount.toString() } }
  await apply(session, change, `Minimum gas price: ${gasPriceWords(amount)}`)
}

/** Set max ticket face value. */
export async function setMaxFaceValue(session: Session): Promise<void> {
  const amount = await askFor(
    session,
    'Enter the max ticket face value in wei, or with its unit, such as 0.1 ETH (enter "0" for none) -',
    amountIn(WEI_TYPED),
  )
  const change = { path: '/setMaxFaceValue', values: { maxfacevalue: amount.toString() } }
  await apply(session, change, 'Ticket max face value set')
}

/** Set price for broadcaster. */
export async function setPriceForBroadcaster(session: Session): Promise<void> {
  const { control, facts } = session
  const gateway = await askFor(
    session,
    'Enter the ETH address of the broadcaster',
    (answer) => (answer === 'default' ? answer : address(answer)),
    'default',
  )
  const { BroadcasterPrices } = await control.json('/status', statusAnswer)
  const asked = BroadcasterPrices[gateway === 'default' ? gateway : gateway.toLowerCase()]
  const isBase = gateway === 'default' && asked === undefined && facts.chainId !== 0n
  const base = isBase ? (await control.json('/orchestratorInfo', orchestratorAnswer)).PriceInfo : undefined
  const now = priceIn(asked ?? base)
  if (now) session.write(`Current price: ${priceWords(now.toString())}\n`)
  const pixelsPerUnit = await askFor(session, 'Enter pixels per unit', pixels, (now?.den ?? 1n).toString())
  const unit = await askFor(session, 'Enter currency for the price per unit', currency, 'Wei')
  const isSame = now !== null && pixelsPerUnit === now.den.toString() && unit.toLowerCase() === 'wei'
  const fallback = isSame ? now.num.toString() : undefined
  const pricePerUnit = await askFor(session, 'Enter price per unit', price, fallback)
  await apply(
    session,
    {
      path: '/setPriceForBroadcaster',
      values: { pricePerUnit, pixelsPerUnit, currency: unit, broadcasterEthAddr: gateway },
    },
    `Price for broadcaster ${gateway} set to ${pricePerUnit} ${unit} per ${pixelsPerUnit} pixels`,
  )
}

/** Set maximum sessions. */
export async function setMaxSessions(session: Session): Promise<void> {
  const maxSessions = await askFor(session, 'Enter the maximum # of sessions, or auto', sessions)
  await apply(
    session,
    { path: '/setMaxSessions', values: { maxSessions } },
    `Max sessions set to ${maxSessions}`,
  )
}

/** Set broadcast config. */
export async function setBroadcastConfig(session: Session): Promise<void> {
  const { control, write } = session
  // Nodes list them in any order; scripts know their numbers in this one.
  const options = (await control.json('/getAvailableTranscodingOptions', optionsAnswer)).toSorted()
  const { MaxPrice, TranscodingOptions } = await control.json('/getBroadcastConfig', broadcastAnswer)
  const now = priceIn(MaxPrice)
  write('Enter a maximum transcoding price per pixel, in wei per pixels (pricePerUnit / pixelsPerUnit).\n')
  write(`eg. 1 wei / 10 pixels = 0,1 wei per pixel\nCurrent maximum: ${priceWords(MaxPrice) || 'none'}\n`)
  const pixelsPerUnit = await askFor(
    session,
    'Enter amount of pixels that make up a single unit',
    pixels,
    (now?.den ?? 1n).toString(),
  )
  const unit = await askFor(session, 'Enter the currency for the price per unit', currency, 'Wei')
  const isSame = pixelsPerUnit === (now?.den ?? 1n).toString() && unit.toLowerCase() === 'wei'
  const maxPricePerUnit = await askFor(
    session,
    `Enter the maximum price to pay for ${pixelsPerUnit} pixels in ${unit} (0 for no maximum) -`,
    price,
    isSame ? (now?.num ?? 0n).toString() : undefined,
  )
  const numbers = options.map((name, id) => `${id}\t\t${name}\n`)
  write(`Identifier\tTranscoding Options\n${numbers.join('')}`)
  const present = TranscodingOptions.split(',').map((name) => options.indexOf(name))
  const chosen = await askFor(
    session,
    'Enter the identifiers of the video profiles you would like to use (use a comma as the delimiter in a list of identifiers) -',
    someOf(options.length, 'profile'),
    present.length > 0 && present.every((id) => id >= 0) ? present.join(',') : undefined,
  )
  const transcodingOptions = chosen.map((id) => options[id]!).join(',')
  await apply(
    session,
    {
      path: '/setBroadcastConfig',
      values: { maxPricePerUnit, pixelsPerUnit, currency: unit, transcodingOptions },
    },
    'Configuration applied successfully',
  )
}

/** Set max price per capability. */
export async function setCapabilityPrice(): Promise<void> {
  throw new ItemError(
    'wrong-node',
    'Prices per capability are for AI, which this program and livepeer-ts nodes do not support: nothing was set',
  )
}

/** Changes a setting of the node, which sends nothing to the chain. The node's own words are shown where it has some. */
async function apply({ control, write }: Session, change: ControlChange, done: string): Promise<void> {
  const answer = withoutUnprintable((await control.change(change)).toString('utf8').trim())
  write(`${done}\n`)
  if (answer !== '' && answer.toLowerCase() !== done.toLowerCase()) write(`The node: ${answer}\n`)
}
