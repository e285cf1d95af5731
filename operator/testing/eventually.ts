/**
 * Waits until a look at the world gives something (neither undefined nor false), and fails with what it last
 * saw. A look that throws counts as "not yet".
 */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 30_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const seen = await look();
      if (seen !== undefined && seen !== false) return seen;
      last = seen;
    } catch (error) {
      last = error;
    }
    if (Date.now() >= deadline)
      throw new Error(
        `not within ${timeoutMs} ms: ${what} (last: ${last instanceof Error ? last.message : String(last)})`,
      );
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
