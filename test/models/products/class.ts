/** A class is no model. */
export default class Model {
  predict(inputs: readonly number[]): readonly number[] {
    return inputs;
  }
}
