/**
 * Versions order what happened within one partition: `<ms>-<seq>` is the stream id of an event,
 * `<ms>-<seq>.<n>` the n-th fill after that event. They are compared as numbers, never as text.
 * @returns negative when a is older than b, 0 when equal, positive when newer.
 */
export function compareVersions(a: string, b: string): number {
  if (a === b) return 0;
  const dashA = a.indexOf('-');
  const dashB = b.indexOf('-');
  const ms = Number(a.slice(0, dashA)) - Number(b.slice(0, dashB));
  if (ms !== 0) return ms;
  const dotA = a.indexOf('.', dashA);
  const dotB = b.indexOf('.', dashB);
  const seq =
    Number(a.slice(dashA + 1, dotA < 0 ? a.length : dotA)) -
    Number(b.slice(dashB + 1, dotB < 0 ? b.length : dotB));
  if (seq !== 0) return seq;
  return (dotA < 0 ? 0 : Number(a.slice(dotA + 1))) - (dotB < 0 ? 0 : Number(b.slice(dotB + 1)));
}
