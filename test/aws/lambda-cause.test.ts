import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lambdaCause } from '../../runtime/aws/lambda-cause.ts'

test("a Lambda's error is told by name and message, also where Step Functions' text of it was cut short; what is none stays", () => {
  const errorMessage = `the plan of "shop" has\na \\ more`
  const cause = `StateMismatchError: ${JSON.stringify({ errorType: 'StateMismatchError', errorMessage, trace: ['x', '    at y'] })}`
  assert.equal(lambdaCause(cause), `StateMismatchError: ${errorMessage}`)
  assert.equal(lambdaCause(cause.slice(0, cause.indexOf('trace') + 9)), `StateMismatchError: ${errorMessage}`)
  assert.equal(lambdaCause(cause.slice(0, cause.indexOf('has'))), 'StateMismatchError: the plan of "shop" ')
  for (const other of [
    'no ack within 120 s from pages/0',
    'States.Timeout: ',
    'Oops: {"a":"errorMessage"}',
    'Oops: {"errorMessage":"\\u00',
  ])
    assert.equal(lambdaCause(other), other)
})
