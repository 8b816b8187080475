import { SHAPE_KEYS_MAX, SHAPES_MAX } from './limits.ts'

/** An ordered key list, with its number in the frame that is being written (-1: not in it yet). */
export interface Shape {
  readonly keys: readonly string[]
  id: number
}

/** Nodes of the trie, within a frame and from one to the next. */
const NODES_MAX = SHAPES_MAX * SHAPE_KEYS_MAX
const NODES_KEPT_MAX = SHAPES_MAX * 16

interface Node {
  readonly next: Map<string, Node>
  shape: Shape | undefined
}

/** True if the object's keys are exactly these, in this order. */
export function hasKeys(object: object, keys: readonly string[]): boolean {
  let i = 0
  for (const key in object) if (keys[i++] !== key) return false
  return i === keys.length
}

/**
 * Key lists seen by a writer, found again by walking a trie: no key list is allocated for a record whose shape is known.
 * It outlives the frame (shapes repeat), the numbers do not.
 */
export class ShapeTable {
  /** The shapes of the current frame, by number. */
  readonly used: Shape[] = []
  private root: Node = { next: new Map(), shape: undefined }
  private nodes = 0
  private hint: Shape = { keys: [], id: -1 }

  /** The numbered shape of a plain object, or undefined when it has too many keys or the frame has too many shapes. */
  find(object: object): Shape | undefined {
    const shape = hasKeys(object, this.hint.keys) && this.hint.id >= 0 ? this.hint : this.lookUp(object)
    if (shape === undefined) return undefined
    if (shape.id < 0) {
      if (this.used.length === SHAPES_MAX) return undefined
      shape.id = this.used.length
      this.used.push(shape)
    }
    this.hint = shape
    return shape
  }

  private lookUp(object: object): Shape | undefined {
    let node = this.root
    let depth = 0
    for (const key in object) {
      if (++depth > SHAPE_KEYS_MAX) return undefined
      let next = node.next.get(key)
      if (next === undefined) {
        if (this.nodes === NODES_MAX || this.used.length === SHAPES_MAX) return undefined
        next = { next: new Map(), shape: undefined }
        node.next.set(key, next)
        this.nodes++
      }
      node = next
    }
    node.shape ??= { keys: Object.keys(object), id: -1 }
    return node.shape
  }

  /** Starts a new frame. Forgets everything when too many shapes have come and gone. */
  reset(): void {
    for (const shape of this.used) shape.id = -1
    this.used.length = 0
    if (this.nodes <= NODES_KEPT_MAX) return
    this.root = { next: new Map(), shape: undefined }
    this.nodes = 0
    this.hint = { keys: [], id: -1 }
  }
}
