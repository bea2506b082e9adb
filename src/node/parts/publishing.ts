import type { GatewaySettings } from '../../config/settings.ts'
import type { EventQueue, NodeEvent } from '../../domain/events.ts'
import {
  type EventSource,
  envelopeOf,
  type PublishedEvent,
  transcodeEvent,
} from '../../domain/published-event.ts'
import { AmqpSink } from '../../io/amqp/amqp-sink.ts'
import { KafkaSink } from '../../io/kafka/kafka-sink.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Dice } from '../../lib/dice.ts'
import { maskUrl } from '../../lib/mask-url.ts'
import { uuidOf } from '../../lib/uuid.ts'
import { EventPublisher, type EventSink } from '../../services/publishing/event-publisher.ts'
import type { Core } from './core.ts'

/** The services that tell other programs what a gateway does. They are started before it, and so end after it. */
export function publishersOf(
  core: Core,
  { kafka, metadata, publicHost }: GatewaySettings,
): readonly EventPublisher[] {
  const { env, nodeName: node, settings } = core
  const { kafkaPassword: password, metadataUrl: url } = settings.secrets
  const publishing = (
    queue: EventQueue,
    sink: EventSink,
    write: (event: NodeEvent) => PublishedEvent | null,
  ) => {
    const publisher = new EventPublisher(queue, { ...env, sink })
    env.events.listen((event) => {
      const written = write(event)
      if (written) publisher.offer(written)
    })
    return publisher
  }
  const publishers: EventPublisher[] = []
  if (metadata) {
    const sink = new AmqpSink({ url, ...metadata }, env)
    const write = (event: NodeEvent) =>
      event.kind === 'segment-tried' ? transcodeEvent(event, sourceOf(node, env)) : null
    publishers.push(publishing('amqp', sink, write))
  }
  if (kafka) {
    const sink = new KafkaSink({ ...kafka, password, clientId: node }, env)
    const gateway = publicHost === '' ? node : publicHost
    publishers.push(publishing('kafka', sink, (event) => envelopeOf(event, sourceOf(gateway, env))))
  }
  return publishers
}

function sourceOf(node: string, { clock, dice }: { clock: Clock; dice: Dice }): EventSource {
  return { id: uuidOf(dice), node, nowMs: clock.now(), shown: maskUrl }
}
