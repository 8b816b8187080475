import { type Database, databaseOn } from './database.ts'
import { openDirectory, readDirectory } from './directory.ts'

export { embeddedStreams } from './streams.ts'

export function openDatabase(directory: string, checkedBytesMax?: number): Database {
  return databaseOn(directory, openDirectory(directory, checkedBytesMax))
}

/** For reading beside the process that has the directory open, as of now; writing fails. Undefined when there is no store. */
export function readDatabase(directory: string): Database | undefined {
  const connection = readDirectory(directory)
  return connection && databaseOn(directory, connection)
}
