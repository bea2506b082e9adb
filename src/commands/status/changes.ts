import { ether, gwei } from '../../lib/amounts.ts'
import { counted } from '../../lib/counted.ts'
import type { SeenNode } from './answer.ts'
import { nameOf } from './problems.ts'
import type { Line } from './screen.ts'
import { instant } from './words.ts'

/** Settings and changes shown of each node; further ones are only counted. */
const MAX_SETTINGS = 10
const MAX_CHANGES = 5
/** What one gateway is asked has its account in its name. */
const GATEWAY_PRICE = 'price/'

type Setting = NonNullable<SeenNode['status']['settings']>[number]
type Change = NonNullable<SeenNode['status']['changes']>[number]

/** The settings of a node that are not what its command line says, and whether they outlast a restart. */
export function settingLines(node: SeenNode): Line[] {
  const { settings = [] } = node.status
  return chapterOf(node, settings.map(settingText), { most: MAX_SETTINGS, what: 'more setting' })
}

/** What was asked of a node last, the newest first: when, what, from where, and what came of it. */
export function changeLines(node: SeenNode): Line[] {
  const { changes = [] } = node.status
  return chapterOf(node, changes.map(changeText), { most: MAX_CHANGES, what: 'earlier request' })
}

function chapterOf(
  node: SeenNode,
  texts: readonly string[],
  { most, what }: { readonly most: number; readonly what: string },
): Line[] {
  if (texts.length === 0) return []
  const shown = texts.slice(0, most).map((text): Line => [2, text])
  const others = texts.length - shown.length
  return [[1, nameOf(node)], ...shown, ...(others > 0 ? [[2, counted(others, what)] as const] : [])]
}

function settingText({ commandLine, flag, kept, name, value }: Setting): string {
  const shown = (text: string) => amountOf(flag, text)
  const whom = name.startsWith(GATEWAY_PRICE) ? ` for ${name.slice(GATEWAY_PRICE.length)}` : ''
  const now =
    value === commandLine
      ? `is ${shown(value)}, as the command line says`
      : `is ${shown(value)}, the command line says ${shown(commandLine)}`
  return `${flag}${whom} ${now}; ${afterRestart({ commandLine, kept, value }, shown)}`
}

function afterRestart(
  { commandLine, kept, value }: Pick<Setting, 'commandLine' | 'kept' | 'value'>,
  shown: (text: string) => string,
): string {
  if (kept === null) return `a restart brings back ${shown(commandLine)}`
  return kept === value ? 'kept over a restart' : `a restart makes it ${shown(kept)}`
}

/** Amounts in their usual units; where 0 stands for no limit, that. */
function amountOf(flag: string, text: string): string {
  if (!/^\d{1,80}$/.test(text)) return text
  const amount = BigInt(text)
  if (amount === 0n && flag.startsWith('-max')) return 'no limit'
  if (flag === '-maxGasPrice' || flag === '-minGasPrice') return gwei(amount)
  return flag === '-maxFaceValue' ? ether(amount) : text
}

function changeText({ atMs, by, from, params, path, result, status }: Change): string {
  const given = Object.entries(params).map(([name, value]) => ` ${name}=${value}`)
  const outcome = status < 400 ? 'done' : `refused (${status}): ${result}`
  return `${instant(atMs)}   ${path}${given.join('')} from ${from} (${by}): ${outcome}`
}
