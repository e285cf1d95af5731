import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { runCli } from '../testing/run-cli.ts';

/** The script of a shell, in a file. */
async function scriptOf(shell: string): Promise<{ path: string; folder: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'completion-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'script');
  const { out, code } = await runCli(['completion', shell]);
  expect(code).toBe(0);
  writeFileSync(path, out);
  return { path, folder };
}

const isThere = (shell: string) => spawnSync(shell, ['-c', 'exit 0']).status === 0;

const LINES = [
  ['edgecache do', ['doctor']],
  ['edgecache be', ['bench']],
  ['edgecache bench --ra', ['--rate']],
  ['edgecache doctor --ev', ['--events']],
  // What comes later on the line is no command.
  ['edgecache put doctor --if', ['--if-version']],
  ['edgecache completion z', ['zsh']],
  ['edgecache help pu', ['put', 'publish']],
] as const;

it('completes in bash', async ({ skip }) => {
  if (!isThere('bash')) skip('there is no bash on this machine');
  const { path } = await scriptOf('bash');
  for (const [line, wanted] of LINES) {
    const words = line.split(' ');
    const ask = `source ${path}; COMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}; _edgecache edgecache ${words.at(-1)}; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', ask], { encoding: 'utf8' });
    expect([line, stdout.trim().split('\n'), stderr]).toEqual([line, [...wanted], '']);
  }
});

it('completes in fish', async ({ skip }) => {
  if (!isThere('fish')) skip('there is no fish on this machine');
  const { path, folder } = await scriptOf('fish');
  for (const [line, wanted] of LINES.filter(([text]) => !text.includes('help'))) {
    const ask = `source ${path}; complete -C '${line}'`;
    const env = { ...process.env, HOME: folder };
    const { stdout } = spawnSync('fish', ['--no-config', '-c', ask], { encoding: 'utf8', env });
    const found = stdout
      .trim()
      .split('\n')
      .map((each) => each.split('\t')[0]);
    expect([line, found]).toEqual([line, [...wanted]]);
  }
});

it('completes in zsh', async ({ skip }) => {
  if (!isThere('zsh')) skip('there is no zsh on this machine');
  const { path, folder } = await scriptOf('zsh');
  for (const [line, wanted] of LINES) {
    const words = line.split(' ');
    // As its bashcompinit asks: the arrays of bash, which begin at 0 there.
    const ask = `source ${path}; setopt ksharrays; COMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}; _edgecache edgecache ${words.at(-1)}; print -l -- "\${COMPREPLY[@]}"`;
    const env = { ...process.env, HOME: folder, ZDOTDIR: folder };
    const { stdout, stderr } = spawnSync('zsh', ['-f', '-c', ask], { encoding: 'utf8', env });
    // Its compgen gives all: zsh itself takes those that begin so.
    const found = stdout.split('\n').filter((word) => word.startsWith(words.at(-1) ?? ''));
    expect([line, found, stderr]).toEqual([line, [...wanted], '']);
  }
});

it('answers kubectl: candidates, and that files are none', async () => {
  expect((await runCli(['__complete', 'do'])).out).toBe('doctor\n:4\n');
  expect((await runCli(['__complete', 'bench', '--ra'])).out).toBe('--rate\n:4\n');
  expect((await runCli(['__complete', 'nothing', ''])).out).toBe(':4\n');
});
