/** Draws ranks from 0 up to `size` with probability proportional to 1 / (rank + 1) ** exponent. */
export class Zipf {
  readonly #cumulative: Float64Array;
  readonly #random: () => number;

  constructor(size: number, exponent: number, random: () => number) {
    this.#random = random;
    this.#cumulative = new Float64Array(size);
    let sum = 0;
    for (let rank = 0; rank < size; rank++) {
      sum += (rank + 1) ** -exponent;
      this.#cumulative[rank] = sum;
    }
  }

  next(): number {
    const { length } = this.#cumulative;
    const target = this.#random() * (this.#cumulative[length - 1] ?? 0);
    let low = 0;
    let high = length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#cumulative[middle] ?? 0) < target) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
