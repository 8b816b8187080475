/** True if the two types are the same, `any` and optional fields included. */
type Same<A, B> = (<X>() => X extends A ? 1 : 2) extends <X>() => X extends B ? 1 : 2 ? true : false

/** Checked by tsc: `expectType<Stream<number>>()(stream)` refuses a stream of another type. */
export function expectType<Expected>() {
  return <Actual>(
    _value: Actual,
    ..._same: Same<Actual, Expected> extends true ? [] : [never, 'not the expected type']
  ): void => {}
}

/** The records of a stream. */
export type ValueOf<S> = S extends { readonly valueType?: () => infer T } ? T : never
/** The key of a keyed stream. */
export type KeyOf<S> = S extends { readonly keyType?: (key: infer K) => any } ? K : never

/** Checks the type of a stream's records. */
export function expectValues<Expected>() {
  return <S extends { readonly valueType?: () => any }>(
    _stream: S,
    ..._same: Same<ValueOf<S>, Expected> extends true ? [] : [never, 'not the expected records']
  ): void => {}
}

/** Checks the type of a stream's key. */
export function expectKey<Expected>() {
  return <S>(_stream: S, ..._same: Same<KeyOf<S>, Expected> extends true ? [] : [never, 'not the expected key']): void => {}
}
