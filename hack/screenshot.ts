import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Page } from 'playwright-core';
import { messageOf } from '../agent/errors.ts';
import { InMemoryMarketplace } from '../client/marketplace/in-memory-marketplace.ts';
import { keys } from '../client/marketplace/keys.ts';
import { LOAD, Load } from './demo/load.ts';
import { seededRandom } from './demo/random.ts';
import { type Stack, startStack } from './demo/stack.ts';
import { Truth } from './demo/truth.ts';
import { startBrowser } from './local/browser.ts';

const FOLDER = fileURLToPath(new URL('../docs/images', import.meta.url));
const HELP = `Usage: npm run screenshot -- [--seconds N] [--out FOLDER] [--dark]

Takes the pictures of the page that the documentation shows, ui.png and ui-key.png, while the demo's agents, Redis and
load run.

  --seconds N   how long the load runs before, 10 to 900 (default 150)
  --out FOLDER  default docs/images
  --dark        in dark colours
  --help        this text
`;
const VIEW = { width: 1360, height: 900 };
/** The page asks every two seconds; a picture shall have no half of it. */
const SETTLE_MS = 3_000;
const MARGIN = 16;
const now = () => performance.now();

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '150' },
    out: { type: 'string', default: FOLDER },
    dark: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) process.stdout.write(HELP);
else if (!/^\d+$/.test(values.seconds) || Number(values.seconds) < 10 || Number(values.seconds) > 900) {
  process.stderr.write(`--seconds: got '${values.seconds}'; must be a whole number from 10 to 900\n`);
  process.exitCode = 2;
} else process.exitCode = await main();
// Connections that are being given up keep nothing from ending.
process.exit();

async function main(): Promise<number> {
  const say = (line: string) => process.stderr.write(`${line}\n`);
  const stack = await startStack(say);
  const load = startLoad(stack);
  const browser = await startBrowser();
  try {
    await load.publishInventory();
    load.start();
    say(`load for ${values.seconds} s`);
    await delay(Number(values.seconds) * 1000);
    const colorScheme = values.dark ? 'dark' : 'light';
    const page = await browser.newPage({ viewport: VIEW, colorScheme, locale: 'en-GB' });
    const [node] = stack.nodes;
    await page.goto(`http://127.0.0.1:${node?.agent.httpPort}/ui/`);
    await askForKey(page, keys.gpu(load.hottest));
    await delay(SETTLE_MS);
    await takePictures(page, values.out);
    say(`ui.png and ui-key.png are in ${values.out}`);
    return 0;
  } catch (error) {
    say(`no picture was taken: ${messageOf(error)}`);
    return 1;
  } finally {
    await Promise.all([load.stop(), browser.close()]);
    await stack.stop();
  }
}

function startLoad({ nodes }: Stack): Load {
  const random = seededRandom(1);
  const truth = new Truth(1_000, now);
  const regions = [...new Set(nodes.map(({ tier }) => tier.spec.region))];
  const market = new InMemoryMarketplace({
    gpus: LOAD.gpus,
    regions,
    random,
    changed: ({ gpuId, revision }) => truth.changed(gpuId, revision),
    priced: ({ region, gpuType, revision }) => truth.changed(`price/${region}/${gpuType}`, revision),
  });
  return new Load({ nodes, market, truth, random, now, failed: () => undefined });
}

async function askForKey(page: Page, key: string): Promise<void> {
  await page.locator('#key-namespace option').first().waitFor({ state: 'attached' });
  await page.getByRole('textbox', { name: 'Key' }).fill(key);
  await page.keyboard.press('Enter');
  await page.locator('#key-answer').waitFor();
}

/** The whole page would be too long for a README: what is asked of one key is a picture of its own. */
async function takePictures(page: Page, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  await page.locator('#key').screenshot({ path: join(folder, 'ui-key.png'), animations: 'disabled' });
  await page.evaluate('document.activeElement.blur(); window.scrollTo(0, 0)');
  const end = await page.locator('#events').boundingBox();
  if (end === null) throw new Error('the page shows no events');
  const clip = { x: 0, y: 0, width: VIEW.width, height: Math.ceil(end.y + end.height + MARGIN) };
  await page.setViewportSize({ width: clip.width, height: clip.height });
  await page.screenshot({ path: join(folder, 'ui.png'), clip, animations: 'disabled' });
}
