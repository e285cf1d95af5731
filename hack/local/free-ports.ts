/** Somebody else took the port between its choice and its use. */
export class PortTakenError extends Error {}

const TRIES = 5;

/** Tries again with other ports where the first ones were taken meanwhile. */
export async function onFreePorts<T>(start: () => Promise<T>, again = true): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start();
    } catch (error) {
      if (!(error instanceof PortTakenError) || !again || attempt >= TRIES) throw error;
    }
  }
}
