/**
 * Freezes plain data, as JSON gives it, all the way down: then it may be shared, and a caller that changes it gets a
 * TypeError.
 * @returns false, and freezes nothing, where something in it is not plain: a Date can be changed though it is frozen.
 */
export function freezePlain(value: unknown): boolean {
  if (!isPlain(value)) return false;
  freeze(value);
  return true;
}

function isPlain(value: unknown): boolean {
  if (typeof value === 'function') return false;
  if (typeof value !== 'object' || value === null) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== Array.prototype && prototype !== null) return false;
  return Object.values(value).every(isPlain);
}

function freeze(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  Object.freeze(value);
  for (const part of Object.values(value)) freeze(part);
}
