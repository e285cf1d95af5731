export { compareVersions } from '../../api/version.ts';

/**
 * Versions order what happened within one partition: `<ms>-<seq>` is the stream id of an event,
 * `<ms>-<seq>.<n>` the n-th fill after that event. They are compared as numbers, never as text.
 */
export const NO_VERSION = '0-0';

const VERSION = /^(\d{1,16})-(\d{1,16})(?:\.(\d{1,16}))?$/;

export function isVersion(text: string): boolean {
  return VERSION.test(text);
}

/** Milliseconds since 1970 that the version's stream id says, by the clock of the Redis that gave it. */
export function versionMs(version: string): number {
  return Number(version.slice(0, version.indexOf('-')));
}
