/** A message on its way to a service. */
export interface Outgoing<M> {
  /** `<writer>-<n>`: of one writer, n only rises. At most 64 letters, digits and hyphens. */
  readonly id: string
  readonly message: M
  /** One subtask of one sink in one run, as a hash. */
  readonly writer: string
  /** One sink in one run, as a hash. */
  readonly sink: string
  /** Of the commit that it belongs to. Of one writer, versions only rise. */
  readonly version: number
}

/** A service that a delivered sink sends to. It is made when the pipeline is declared, so it connects when it first sends. */
export interface Service<T, M> {
  readonly kind: string
  /** For errors: `the SQS sink https://…`. */
  readonly where: string
  /**
   * Looks at the address, before anything is written or sent, and not when the pipeline is declared: where it is only planned, an environment variable may be missing.
   * @throws ConnectorError
   */
  check(): void
  /**
   * What is sent for a record: plain data, which may have to wait for its checkpoint, so nothing in it may change afterwards.
   * @throws ConnectorError for what the service wouldn't take: when it is sent is too late, nobody could do anything about it
   */
  message(value: T, id: string, record: { readonly timestamp: number; readonly key: unknown }): M
  /**
   * Resolves when all have arrived; records that belong together stay in order. After a failure the same ones are sent again, also those that had arrived.
   */
  send(messages: readonly Outgoing<M>[]): Promise<void>
  describe(): string
}
