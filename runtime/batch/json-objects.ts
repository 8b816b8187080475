const QUOTE = 34
const BACKSLASH = 92
const OPEN = 123
const CLOSE = 125

/** What two objects look like where there is no newline between them; also inside of a string. */
export const SEAM = '}{'

/**
 * The objects of a line that holds several, one behind the other, as Firehose writes records that have no newline of their own. A line that is anything else stays as it is.
 */
export function objectsOf(line: string): string[] {
  const found: string[] = []
  let start = 0
  for (let end = 0; start < line.length; start = end) {
    end = objectEnd(line.length, start, i => line.charCodeAt(i))
    if (end === -1) return [line]
    found.push(line.slice(start, end))
    while (isSpace(line.charCodeAt(end))) end++
  }
  return found
}

/** Behind the last whole object of bytes that begin with one; 0: there is none. */
export function lastObjectEnd(bytes: Uint8Array): number {
  let last = 0
  for (let end = objectEnd(bytes.length, 0, i => bytes[i]!); end !== -1; end = objectEnd(bytes.length, last, i => bytes[i]!)) {
    last = end
    while (isSpace(bytes[last]!)) last++
  }
  return last
}

/** Behind the object that begins at `start`; -1: none begins there, or it does not end. */
function objectEnd(length: number, start: number, at: (index: number) => number): number {
  if (at(start) !== OPEN) return -1
  let depth = 0
  let inString = false
  for (let i = start; i < length; i++) {
    const char = at(i)
    if (inString) {
      if (char === BACKSLASH) i++
      else if (char === QUOTE) inString = false
    } else if (char === QUOTE) inString = true
    else if (char === OPEN) depth++
    else if (char === CLOSE && --depth === 0) return i + 1
  }
  return -1
}

function isSpace(char: number): boolean {
  return char === 32 || char === 9 || char === 13
}
