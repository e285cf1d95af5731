/** Does something again and again until it is ended, and then tells what went wrong. */
export function watchFor(look: () => Promise<void>): { end: () => Promise<string[]> } {
  const wrong: string[] = [];
  let isOver = false;
  const done = (async () => {
    while (!isOver) {
      await look().catch((error: Error) => wrong.push(error.message));
      // Some hundred a second are enough.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  return {
    end: async () => {
      isOver = true;
      await done;
      return wrong;
    },
  };
}
