/** Names of errors with which a step of a checkpoint is called again: the runtime's errors that another try may help, and Lambda's own. Each step may run twice, late, or not at all (checkpoint/steps.ts). */
export const RETRYABLE = [
  'LostRaceError',
  'DeadlineError',
  'ThrottledError',
  'ServiceUnavailableError',
  'AsyncCallError',
  'Lambda.ServiceException',
  'Lambda.AWSLambdaException',
  'Lambda.SdkClientException',
  'Lambda.TooManyRequestsException',
  'Lambda.Unknown',
  'Runtime.ExitError',
  'Sandbox.Timedout',
  'States.Timeout',
]
