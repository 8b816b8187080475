import { ConnectorError } from './error.ts'

/**
 * What a sink promises, in Flink's terms.
 *
 * - `exactly-once`: records wait, with the run's state, until the checkpoint that they belong to is complete, and are sent then, with ids that are theirs for ever. A sending that was
 *   interrupted is repeated with the same records under the same ids, so that whoever leaves out ids that it knows has each record once. They come a checkpoint's interval later.
 * - `at-least-once`: records are sent just before the commit that they belong to, which may fail after it and be tried again: then they, or in their place what the other
 *   attempt made of the same input, are sent once more, with other ids.
 */
export type DeliveryGuarantee = 'exactly-once' | 'at-least-once'

export interface DeliveryOptions {
  /** Default exactly-once. */
  readonly delivery?: DeliveryGuarantee
}

/** `where` names the sink. */
export function checkDelivery(delivery: DeliveryGuarantee, where: string): DeliveryGuarantee {
  if (delivery === 'exactly-once' || delivery === 'at-least-once') return delivery
  throw new ConnectorError(`${where} has the delivery ${JSON.stringify(delivery)}: write 'exactly-once' or 'at-least-once'`)
}
