import { gaussian, hash, random } from '../seeded.ts'

/** A layer of a network: `outputs` rows of `inputs` weights, and a bias each. */
export interface Layer {
  inputs: number
  outputs: number
  weights: Float64Array
  bias: Float64Array
}

/** A layer whose weights derive from its name, as if they had been trained and downloaded. */
export function layer(name: string, inputs: number, outputs: number): Layer {
  const next = random(hash(name, 3))
  const scale = 1 / Math.sqrt(inputs)
  const weights = Float64Array.from({ length: inputs * outputs }, () => gaussian(next) * scale)
  return { inputs, outputs, weights, bias: Float64Array.from({ length: outputs }, () => gaussian(next) * 0.1) }
}

/** `out = weights · input + bias`, summed in a fixed order. */
export function dense(layer: Layer, input: Float64Array, out: Float64Array): void {
  const { inputs, outputs, weights, bias } = layer
  for (let o = 0, w = 0; o < outputs; o++) {
    let sum = bias[o]!
    for (let i = 0; i < inputs; i++) sum += weights[w++]! * input[i]!
    out[o] = sum
  }
}

/** Negative values become 0, in place. */
export function relu(values: Float64Array): void {
  for (let i = 0; i < values.length; i++) if (values[i]! < 0) values[i] = 0
}
