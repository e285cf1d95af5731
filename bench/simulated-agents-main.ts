import { Redis } from 'ioredis';
import { pino } from 'pino';
import { Feed } from '../agent/bus/feed.ts';
import { L2, L2_DEFAULTS } from '../agent/l2/l2.ts';
import { defineScripts } from '../agent/l2/scripts.ts';
import { resolveAgentConfig } from '../api/agent-config.ts';

/**
 * The ears of many agents in one process: each has its own subscriber connection, follows the log and renews its leases as
 * a real one does. Arguments: port, how many. Prints `ready` when all hear everything; then, at each line on stdin, the
 * propagation times since the line before, in milliseconds as JSON.
 */
const [port = '', count = ''] = process.argv.slice(2);
const config = resolveAgentConfig({ redis: { nodes: [`127.0.0.1:${port}`] } }, {});
const { cacheId, partitions, fillLeaseMs } = config;
const commands = Array.from({ length: 4 }, () => {
  const redis = new Redis(Number(port), '127.0.0.1');
  defineScripts(redis);
  return redis;
});
let turn = 0;
const next = () => {
  turn = (turn + 1) % commands.length;
  const client = commands[turn];
  if (client === undefined) throw new Error('no connection');
  return client;
};
const l2 = new L2(next, { ...L2_DEFAULTS, cacheId, partitions, fillLeaseMs });
let times: number[] = [];
const feeds = Array.from({ length: Number(count) }, (_, i) => {
  const feed: Feed = new Feed({
    config,
    l2,
    commands: next,
    agentId: `simulated-${process.pid}-${i}`,
    log: pino({ level: 'silent' }),
    now: () => performance.now(),
    random: Math.random,
    handlers: {
      event: (_partition, event) => {
        const ms = feed.clock.since(event.logged_at_us);
        if (ms !== undefined) times.push(ms);
      },
      reset: () => undefined,
      acknowledged: () => undefined,
      afterApplied: (_lane, passed) => passed(),
      reached: () => undefined,
    },
  });
  return feed;
});
// Not all in one moment, as agents of a fleet do not start in one.
for (const feed of feeds) {
  feed.start();
  await new Promise((resolve) => setTimeout(resolve, 2));
}
const timer = setInterval(() => {
  if (!feeds.every(({ complete }) => complete)) return;
  clearInterval(timer);
  process.stdout.write('ready\n');
}, 50);
process.stdin.on('data', () => {
  process.stdout.write(`${JSON.stringify(times.map((ms) => Math.round(ms * 100) / 100))}\n`);
  times = [];
});
