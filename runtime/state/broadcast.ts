/**
 * The key under which a subtask keeps its copy of the broadcast state of an operator. No user's key equals it: a canonical key that
 * starts with \u0001 goes on with JSON. Each subtask has its own copy, so the address of this entry names the subtask.
 */
export const BROADCAST_KEY = '\u0001broadcast'
