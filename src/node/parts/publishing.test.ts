import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EVERY_EVENT } from '../../../test/fakes/every-event.ts'
import { settingsOf } from '../../../test/fakes/settings.ts'
import { PUBLISHED_KINDS } from '../../domain/published-event.ts'
import { ManualClock } from '../../lib/clock.ts'
import { seededDice } from '../../lib/dice.ts'
import { silentLog } from '../../lib/log.ts'
import { EventPublisher } from '../../services/publishing/event-publisher.ts'
import { Parts } from '../parts.ts'

test('what a gateway tells waits for its brokers, each with what is for it', () => {
  const flags =
    '-gateway -orchAddr a -metadataQueueUri amqp://q -monitor -kafkaBootstrapServers k -kafkaGatewayTopic t'
  const env = { version: '1', clock: new ManualClock(), dice: seededDice('events'), log: silentLog, cpus: 2 }
  const { core, gateway } = new Parts(settingsOf(flags), null, env)
  for (const event of EVERY_EVENT) core.env.events.tell(event)
  const publishers = gateway!.services.filter((service) => service instanceof EventPublisher)
  const published = EVERY_EVENT.filter(({ kind }) => (PUBLISHED_KINDS as readonly string[]).includes(kind))
  assert.deepEqual(
    publishers.map(({ name, waiting }) => [name, waiting]),
    [
      ['events to AMQP', 1],
      ['events to KAFKA', published.length],
    ],
  )
})
