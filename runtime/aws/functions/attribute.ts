/** A value of DynamoDB in Lambda's JSON, where binary ones are base64. */
export type AttributeValue = Readonly<Record<string, any>>

export function plainItem(item: Readonly<Record<string, AttributeValue>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(item).map(([name, value]) => [name, plain(value)]))
}

/** As JSON has it: sets are lists, binary values base64. */
function plain(value: AttributeValue): unknown {
  const [[type, content]] = Object.entries(value) as [[string, any]]
  switch (type) {
    case 'NULL':
      return null
    case 'N':
      return number(content)
    case 'NS':
      return content.map(number)
    case 'L':
      return content.map(plain)
    case 'M':
      return plainItem(content)
    default:
      return content
  }
}

/** Whole numbers that JavaScript can't hold stay text: DynamoDB's have 38 digits. */
function number(text: string): number | string {
  const value = Number(text)
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? text : value
}
