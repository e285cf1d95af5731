import fc from 'fast-check';

/** The same runs each time, so that what fails today fails tomorrow; FUZZ_SEED and FUZZ_RUNS look further. A failure prints its seed. */
export const FUZZ = {
  seed: Number(process.env.FUZZ_SEED ?? 20_261_126),
  numRuns: Number(process.env.FUZZ_RUNS ?? 300),
} as const;

export const anyBytes = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes));

type Damage = (whole: Buffer) => Buffer;

const damage: fc.Arbitrary<Damage> = fc.oneof(
  fc.tuple(fc.nat(), fc.nat(255)).map(([at, byte]) => (whole: Buffer) => {
    const broken = Buffer.from(whole);
    if (broken.length > 0) broken[at % broken.length] = byte;
    return broken;
  }),
  fc.nat().map((at) => (whole: Buffer) => whole.subarray(0, at % (whole.length + 1))),
  fc.tuple(fc.nat(), anyBytes).map(([at, more]) => (whole: Buffer) => {
    const place = at % (whole.length + 1);
    return Buffer.concat([whole.subarray(0, place), more, whole.subarray(place)]);
  }),
  fc.tuple(fc.nat(), fc.nat()).map(([from, length]) => (whole: Buffer) => {
    const place = from % (whole.length + 1);
    return Buffer.concat([whole.subarray(0, place), whole.subarray(place + (length % 8))]);
  }),
);

/** What decoders know, with some of it changed, cut off, put in or left out: this goes deeper than noise. */
export function damaged(whole: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  return fc
    .tuple(whole, fc.array(damage, { minLength: 0, maxLength: 4 }))
    .map(([bytes, damages]) => damages.reduce((rest, hurt) => hurt(rest), bytes));
}

/** Runs what may fail with one kind of error only. @returns its result; nothing where it failed so */
export function orRefusal<T>(run: () => T, isRefusal: (error: unknown) => boolean): T | undefined {
  try {
    return run();
  } catch (error) {
    if (isRefusal(error)) return undefined;
    throw error;
  }
}
