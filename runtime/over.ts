/** Why a sleep is called off that nobody waits for any more. The default reason of an abort is an error, whose stack trace costs more than all the rest of it. */
export const OVER = 'over'
