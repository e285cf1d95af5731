import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** What of bentocache is used here. It is not among the project's packages, so its own types are not either. */
export interface Bento {
  getOrSet(options: { key: string; factory: () => unknown; ttl?: string }): Promise<unknown>;
  get(options: { key: string }): Promise<unknown>;
  set(options: { key: string; value: unknown; ttl?: string }): Promise<unknown>;
  on(event: 'bus:message:received', listener: (event: { message: { keys: string[] } }) => void): unknown;
  disconnectAll(): Promise<void>;
}

interface Store {
  useL1Layer(driver: unknown): Store;
  useL2Layer(driver: unknown): Store;
  useBus(driver: unknown): Store;
}

interface Modules {
  BentoCache: new (options: { default: string; stores: Record<string, Store> }) => Bento;
  bentostore: () => Store;
  memoryDriver: (options: object) => unknown;
  redisDriver: (options: object) => unknown;
  redisBusDriver: (options: object) => unknown;
}

const FOLDER = fileURLToPath(new URL('.', import.meta.url));

async function load(): Promise<Modules> {
  // Apart from the project's packages: it needs another ioredis.
  if (!existsSync(`${FOLDER}node_modules/bentocache`))
    execFileSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: FOLDER,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  const names = ['bentocache', 'bentocache/drivers/memory', 'bentocache/drivers/redis'];
  const modules: unknown[] = await Promise.all(names.map((name) => import(name)));
  // The shape that its documentation gives.
  return Object.assign({}, ...modules) as Modules;
}

/** In-memory only. */
export async function bentoInMemory(maxItems: number): Promise<Bento> {
  const { BentoCache, bentostore, memoryDriver } = await load();
  const store = bentostore().useL1Layer(memoryDriver({ maxItems }));
  return new BentoCache({ default: 'memory', stores: { memory: store } });
}

/** Memory over Redis, with its Redis bus: what a user would set up on each node. */
export async function bentoWithBus(redisPort: number): Promise<Bento> {
  const { BentoCache, bentostore, memoryDriver, redisDriver, redisBusDriver } = await load();
  const connection = { host: '127.0.0.1', port: redisPort };
  const store = bentostore()
    .useL1Layer(memoryDriver({ maxItems: 10_000 }))
    .useL2Layer(redisDriver({ connection }))
    .useBus(redisBusDriver({ connection }));
  return new BentoCache({ default: 'tiered', stores: { tiered: store } });
}
