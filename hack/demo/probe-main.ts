import { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import type { Probing } from './probe.ts';
import { seededRandom, Zipf } from './random.ts';

/** A pod on each node that looks up one key at a time; tells its parent each second how long the answers took. */
process.once('message', (probing: Probing) => probe(probing));
process.once('disconnect', () => process.exit());
process.send?.('ready');

function probe({ nodes, namespace, keys, zipfExponent, perSecond, seed }: Probing): void {
  const random = seededRandom(seed);
  const zipf = new Zipf(keys.length, zipfExponent, random);
  let measured: number[] = [];
  const answered = (_: string, ms: number) => measured.push(ms);
  for (const addresses of nodes) {
    const client = new EdgeCacheClient({ addresses: [...addresses], on: { answered } });
    // What is not answered is the load's to count: it asks the same agents, far more often.
    const ask = () => void client.get(namespace, keys[zipf.next()] ?? '').catch(() => undefined);
    // At random moments, as users come: a fixed beat would always meet the same phase of the load's.
    const next = () => {
      ask();
      setTimeout(next, (-Math.log(1 - random()) * 1000) / perSecond);
    };
    next();
  }
  setInterval(() => {
    process.send?.(measured);
    measured = [];
  }, 1_000);
}
