import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../hack/local/children.ts';
import { WatchedFiles } from './watched-files.ts';

let folder: string;
let taken: string[];
let failures: string[];
let files: WatchedFiles<'a' | 'b' | 'c'>;
const write = (name: string, text: string) => writeFileSync(join(folder, name), text);

beforeEach(() => {
  folder = temporaryFolder('watched');
  write('a', '1');
  write('b', '1');
  taken = [];
  failures = [];
  files = new WatchedFiles<'a' | 'b' | 'c'>({
    files: { a: join(folder, 'a'), b: join(folder, 'b'), c: undefined },
    take: ({ a, b, c }) => {
      if (String(a) !== String(b)) throw new Error(`${a} and ${b} do not fit`);
      taken.push(`${a}${b}${c ?? ''}`);
    },
    failed: (error) => failures.push(String(error)),
  });
});

describe('watched files', () => {
  it('are taken at the start, and again when they have changed', async () => {
    files.load();
    await files.look();
    write('a', '2');
    write('b', '2');
    await files.look();
    await files.look();
    expect(taken).toEqual(['11', '22']);
    expect(failures).toEqual([]);
  });

  it('that are being replaced are no failure', async () => {
    files.load();
    write('a', '2');
    await files.look();
    write('b', '2');
    await files.look();
    expect(taken).toEqual(['11', '22']);
    expect(failures).toEqual([]);
  });

  it('that stay unusable are reported once, and again after they were well', async () => {
    files.load();
    for (let round = 0; round < 2; round += 1) {
      write('a', '2');
      for (let look = 0; look < 4; look += 1) await files.look();
      write('a', '1');
      await files.look();
    }
    expect(failures).toEqual(['Error: 2 and 1 do not fit', 'Error: 2 and 1 do not fit']);
    expect(taken).toEqual(['11']);
  });

  it('that are not there throw at the start, with their path', () => {
    const missing = new WatchedFiles({
      files: { a: join(folder, 'none') },
      take: () => undefined,
      failed: () => undefined,
    });
    expect(() => missing.load()).toThrow(join(folder, 'none'));
  });
});
