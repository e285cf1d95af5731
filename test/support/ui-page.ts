import type { Page } from 'playwright-core';
import { onTestFinished } from 'vitest';
import { startBrowser } from '../../hack/local/browser.ts';

export interface OpenPage {
  readonly page: Page;
  /** What must not be: errors, refused content, requests to elsewhere. */
  readonly complaints: string[];
}

/** Opens an agent's page in a browser of its own, and notes whatever a browser complains of. */
export async function openUi(origin: string): Promise<OpenPage> {
  const browser = await startBrowser();
  onTestFinished(() => browser.close());
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  page.setDefaultTimeout(20_000);
  const complaints: string[] = [];
  page.on('console', (message) => {
    // Also of what the Content-Security-Policy refused.
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== origin) complaints.push(`asked for ${request.url()}`);
  });
  await page.goto(`${origin}/ui`);
  return { page, complaints };
}
