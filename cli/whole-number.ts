import { CliError, EXIT, type Given } from './command.ts';

/** A number that an option gives; undefined where it is not given. @throws CliError */
export function wholeNumber(given: Given, name: string, min: number, max: number): number | undefined {
  const text = given.text(name);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  const range = max === Number.MAX_SAFE_INTEGER ? `above ${min - 1}` : `from ${min} to ${max}`;
  throw new CliError(`--${name}: ${JSON.stringify(text)} must be a whole number ${range}`, EXIT.usage);
}
