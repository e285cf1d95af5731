import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';
import { aptInstall } from './apt-get.ts';

/** Where Debian, Ubuntu and others put it. */
const PATHS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** A Chromium without a window; Debian's package is installed where there is none. @throws Error saying what to do. */
export async function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: ensureBrowser(),
    // Root has no sandbox to be in, and a container's /dev/shm is often too small.
    // Grey edges of letters: pictures are half as large.
    args: [
      '--disable-dev-shm-usage',
      '--disable-lcd-text',
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
    ],
    timeout: 60_000,
  });
}

function ensureBrowser(): string {
  const found = installed();
  if (found !== undefined) return found;
  const remedy = 'install Chromium and try again, or name one by CHROMIUM_PATH';
  aptInstall({ name: 'chromium', packages: ['chromium', 'fonts-liberation'], remedy }, (line) =>
    process.stderr.write(`${line}\n`),
  );
  const path = installed();
  if (path === undefined)
    throw new Error(`chromium was installed and is not where it was expected; ${remedy}`);
  return path;
}

function installed(): string | undefined {
  return [process.env.CHROMIUM_PATH ?? '', ...PATHS].find((path) => path !== '' && existsSync(path));
}
