/**
 * An error of a Lambda as Step Functions tells it, `Name: {"errorType": …, "errorMessage": …, "trace": […]}`, in one sentence: name and message. It may have been cut short.
 * Anything else stays as it is.
 */
export function lambdaCause(cause: string): string {
  const [, name, message] = /^([\w.]+): \{.*?"errorMessage": ?"((?:[^"\\]|\\.)*)/s.exec(cause) ?? []
  if (name === undefined || message === undefined) return cause
  try {
    return `${name}: ${JSON.parse(`"${message}"`)}`
  } catch {
    return cause
  }
}
