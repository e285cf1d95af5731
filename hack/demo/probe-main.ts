import { Zipf } from '../../cli/bench/zipf.ts';
import { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import type { Measured, Probing } from './probe.ts';
import { seededRandom } from './random.ts';

/** A pod on each node that looks up one key at a time; tells its parent each second how long the answers took. */
process.once('message', (probing: Probing) => probe(probing));
process.once('disconnect', () => process.exit());
process.send?.('ready');

function probe({ nodes, echo, namespace, keys, zipfExponent, perSecond, seed }: Probing): void {
  const random = seededRandom(seed);
  const zipf = new Zipf(keys.length, zipfExponent, random);
  let measured: Measured = { lookups: [], echo: [] };
  const ask = (addresses: readonly string[], answered: (ms: number) => void) => {
    const client = new EdgeCacheClient({
      addresses: [...addresses],
      on: { answered: (_, ms) => answered(ms) },
    });
    // What is not answered is the load's to count: it asks the same agents, far more often.
    const once = () => void client.get(namespace, keys[zipf.next()] ?? '').catch(() => undefined);
    // At random moments, as users come: a fixed beat would always meet the same phase of the load's.
    const next = () => {
      once();
      setTimeout(next, (-Math.log(1 - random()) * 1000) / perSecond);
    };
    next();
  };
  for (const addresses of nodes) ask(addresses, (ms) => measured.lookups.push(ms));
  ask([echo], (ms) => measured.echo.push(ms));
  setInterval(() => {
    process.send?.(measured);
    measured = { lookups: [], echo: [] };
  }, 1_000);
}
