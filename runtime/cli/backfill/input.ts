import { type InputFiles, isS3, localFiles } from '../../batch/input-files.ts'
import { openBuckets } from '../stack/s3.ts'
import { once } from '../stack/sdk.ts'

/** Files of this machine and objects of S3, whose client is loaded when it is first needed. */
export function anyFiles(): InputFiles {
  const s3 = once(async () => {
    const [{ client, call }, { s3Files }] = await Promise.all([openBuckets(), import('../../aws/archive.ts')])
    return s3Files(client, call)
  })
  const at = async (path: string) => (isS3(path) ? s3() : localFiles)
  return {
    list: async place => (await at(place)).list(place),
    open: async file => (await at(file.path)).open(file),
  }
}
