import { MillraceError } from '../errors.ts'

/** Who holds a state directory. */
export interface Owner {
  readonly pid: number
  readonly host: string
  /** Epoch ms. */
  readonly since: number
  /** Of the machine, as its system numbers them; undefined: it doesn't. */
  readonly boot?: string | undefined
}

/** Another process (or another `openEmbedded` of this one) has the directory open. Stop it, or use another directory. */
export class StateDirectoryInUseError extends MillraceError {
  override readonly name = 'StateDirectoryInUseError'
  /** The owner goes away some time: a supervisor may try again. */
  override readonly retryable = true
  readonly directory: string
  readonly owner: Owner | undefined
  constructor(directory: string, owner: Owner | undefined, options?: ErrorOptions) {
    const who = owner ? `process ${owner.pid} on ${owner.host}, since ${new Date(owner.since).toISOString()}` : 'another process'
    super(
      `state directory ${directory} is in use by ${who}: stop it, or choose another directory; to start from what it has by now, take a savepoint of it (millrace savepoint create ${directory} --to PATH)`,
      options,
    )
    this.directory = directory
    this.owner = owner
  }
}

/** The directory was written by a version of Millrace with another format, or by another program. Nothing was changed. */
export class StateFormatError extends MillraceError {
  override readonly name = 'StateFormatError'
  readonly directory: string
  constructor(directory: string, problem: string, options?: ErrorOptions) {
    super(
      `state directory ${directory} cannot be read by this version of Millrace: ${problem}. Go on with the version that ` +
        'wrote it, start from a savepoint that it takes of it (millrace savepoint create DIRECTORY --to PATH), or choose another directory, which starts from the beginning of the input',
      options,
    )
    this.directory = directory
  }
}

/** There is no checkpoint to start from where one was asked for, or something else is where the new run should go. */
export class SnapshotOriginError extends MillraceError {
  override readonly name = 'SnapshotOriginError'
}

/** The store is damaged. Nothing is repaired or reset: a copy of it can be put back, or the input be read again from its beginning. */
export class StateCorruptError extends MillraceError {
  override readonly name = 'StateCorruptError'
  readonly directory: string
  constructor(directory: string, problem: string, options?: ErrorOptions) {
    super(
      `state directory ${directory} is corrupt: ${problem}. Put back a copy of it, or choose another directory, which starts from the beginning of the input`,
      options,
    )
    this.directory = directory
  }
}

/** The disk (or memory) refused: full, or an I/O error. The call may or may not have taken effect; what is committed stays. */
export class StateUnavailableError extends MillraceError {
  override readonly name = 'StateUnavailableError'
  override readonly retryable = true
  /** `directory`: undefined for a store in memory. */
  constructor(directory: string | undefined, problem: string, options?: ErrorOptions) {
    const where = directory === undefined ? 'the embedded store' : `state directory ${directory}`
    super(
      `${where} failed: ${problem}. Nothing that was committed is lost: once that is mended, the same command goes on from there`,
      options,
    )
  }
}

/** The ports were closed. */
export class StateClosedError extends MillraceError {
  override readonly name = 'StateClosedError'
  constructor() {
    super('the embedded store is closed')
  }
}

/** Slots at or above the floor must stay (protocol.md, C1). */
export class FloorError extends MillraceError {
  override readonly name = 'FloorError'
  constructor(log: string, to: number, floor: number) {
    super(`cannot expire slots of log '${log}' below ${to}: its floor is ${floor}`)
  }
}

/** An argument that no implementation of the ports could store and find again. */
export class PortArgumentError extends MillraceError {
  override readonly name = 'PortArgumentError'
}
