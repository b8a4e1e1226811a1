import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { InvalidDataError } from '../errors.js'
import { checkColumns, columnsOf, type Document, type TextTask, toDocument } from './document.js'

/** As in other files, what is not UTF-8 is refused, not mended. */
const decoder = new TextDecoder('utf-8', { fatal: true })
const parsers = { stringFromBytes: (bytes: Uint8Array | undefined) => bytes && decoder.decode(bytes) }

/**
 * Rows of a parquet file, one row group after the other; of its columns only those that we know are read.
 *
 * @throws {InvalidDataError} naming the file, and the row, from 1
 */
export async function * readParquet (path: string, task: TextTask): AsyncGenerator<Document> {
  const file = await asyncBufferFromFile(path)
  const metadata = await parquetMetadataAsync(file).catch(refuse(path))
  const names = parquetSchema(metadata).children.map(({ element }) => element.name)
  checkColumns(names, task, path)
  const columns = columnsOf(task).filter(name => names.includes(name))
  let begin = 0
  for (const group of metadata.row_groups) {
    const end = begin + Number(group.num_rows)
    const rows = await parquetReadObjects({ file, metadata, columns, compressors, parsers, rowStart: begin, rowEnd: end })
      .catch(refuse(`${path}, rows ${begin + 1} to ${end}`))
    for (const [i, row] of rows.entries()) yield toDocument(row, task, `${path}, row ${begin + i + 1}`)
    begin = end
  }
}

function refuse (source: string): (cause: unknown) => never {
  return cause => {
    throw new InvalidDataError(`${source}: cannot be read as parquet (${(cause as Error).message}); the file is truncated or damaged, or not parquet`, { cause })
  }
}
