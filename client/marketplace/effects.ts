import { type BookingEffect, IncompleteBookingError } from './errors.ts';

/** Effects of one booking: one that fails keeps none of the others from being done. */
export class Effects {
  readonly #failures = new Map<BookingEffect, unknown>();

  /** What the work gave, or nothing where it failed. */
  async run<T>(effect: BookingEffect, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      this.#failures.set(effect, error);
      return undefined;
    }
  }

  /** Why an effect failed, if it did. */
  failure(effect: BookingEffect): unknown {
    return this.#failures.get(effect);
  }

  /** @throws IncompleteBookingError where any has failed. */
  check(bookingId: string): void {
    if (this.#failures.size > 0) throw new IncompleteBookingError(bookingId, this.#failures);
  }
}
