import { z } from 'zod';

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  Ki: 1024,
  Mi: 1024 ** 2,
  Gi: 1024 ** 3,
};

const QUANTITY = /^([1-9][0-9]{0,14})(k|M|G|Ki|Mi|Gi)?$/;

/** A Kubernetes byte quantity as a string: `500`, `100M`, `64Mi`. */
export const byteQuantity = z.string().max(20).regex(QUANTITY, {
  error: 'must be a whole number of bytes with an optional unit k, M, G, Ki, Mi or Gi, such as 100M',
  // Rules across fields count bytes, which there are none of here.
  abort: true,
});

/** Bytes of a quantity that {@link byteQuantity} has accepted. */
export function quantityToBytes(quantity: string): number {
  const match = QUANTITY.exec(quantity);
  const factor = UNITS[match?.[2] ?? ''];
  if (match === null || factor === undefined) throw new RangeError(`not a byte quantity: ${quantity}`);
  return Number(match[1]) * factor;
}
