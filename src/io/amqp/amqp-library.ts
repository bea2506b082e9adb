/** What is used of the AMQP library, in a module of its own, so that it is loaded only where there is a broker. */
export { connect } from 'amqplib'
