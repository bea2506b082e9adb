import type { MessageInitShape } from '@bufbuild/protobuf'
import type { Capabilities, ModelConstraint } from '../../domain/capabilities.ts'
import type * as wire from './gen/lp_rpc_pb.ts'
import { boundedList, boundedText, MAX_NAME } from './wire-message.ts'

const MAX_CAPABILITY_WORDS = 64
const MAX_CAPACITIES = 64 * MAX_CAPABILITY_WORDS
const MAX_MODELS = 1024

/** Converts capabilities for the wire, always with constraints, even empty ones (wire.md §7). */
export function writeCapabilities(
  capabilities: Capabilities,
): MessageInitShape<typeof wire.CapabilitiesSchema> {
  const perCapability: Record<number, { models: Record<string, ModelConstraint> }> = {}
  for (const [number, models] of capabilities.perCapability) {
    perCapability[number] = { models: Object.fromEntries(models) }
  }
  return {
    bitstring: [...capabilities.bitstring],
    mandatories: [...capabilities.mandatories],
    capacities: Object.fromEntries(capabilities.capacities),
    version: capabilities.version,
    constraints: { minVersion: capabilities.minVersion, PerCapability: perCapability },
  }
}

/** Reads capabilities. Trailing zero words are dropped, as the domain requires. */
export function readCapabilities(message: wire.Capabilities): Capabilities {
  const capacities = Object.entries(message.capacities)
  const perCapability = Object.entries(message.constraints?.PerCapability ?? {})
  return {
    bitstring: trimmed(boundedList(message.bitstring, 'capability words', MAX_CAPABILITY_WORDS)),
    mandatories: trimmed(boundedList(message.mandatories, 'capability words', MAX_CAPABILITY_WORDS)),
    capacities: new Map(
      boundedList(capacities, 'capacities', MAX_CAPACITIES).map(([number, capacity]) => [
        Number(number),
        capacity,
      ]),
    ),
    version: boundedText(message.version, 'version', MAX_NAME),
    minVersion: boundedText(message.constraints?.minVersion ?? '', 'version', MAX_NAME),
    perCapability: new Map(
      boundedList(perCapability, 'constrained capabilities', MAX_CAPACITIES).map(([number, { models }]) => [
        Number(number),
        new Map(boundedList(Object.entries(models), 'models', MAX_MODELS).map(readModel)),
      ]),
    ),
  }
}

function readModel([name, model]: [string, wire.Capabilities_CapabilityConstraints_ModelConstraint]): [
  string,
  ModelConstraint,
] {
  const { warm, capacity, capacityInUse } = model
  const runnerVersion = boundedText(model.runnerVersion, 'version', MAX_NAME)
  return [boundedText(name, 'model name', MAX_NAME), { warm, capacity, runnerVersion, capacityInUse }]
}

function trimmed(words: readonly bigint[]): bigint[] {
  let end = words.length
  while (end > 0 && words[end - 1] === 0n) end--
  return words.slice(0, end)
}
