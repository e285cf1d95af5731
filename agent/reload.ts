import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import type { Logger } from 'pino';
import { parse as parseYaml } from 'yaml';
import { type AgentConfig, resolveAgentConfig } from '../api/agent-config.ts';
import { InvalidInputError } from '../api/errors.ts';
import { configHash, isGuarded, isSignedReload, type ReloadAnswer, withHotPart } from '../api/reload.ts';
import { messageOf } from './errors.ts';

/** The agent's file as it was read: what it says and the bytes that name it. */
export interface ConfigFile {
  readonly path: string;
  readonly bytes: Buffer;
}

export interface ReloadsOptions {
  /** What the agent runs by at its start. */
  readonly config: AgentConfig;
  /** Where that came from; without a file there is nothing to watch and nothing to be signed. */
  readonly file: ConfigFile | undefined;
  /** Overrides the file, now as at the start. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Runs by it from now on. */
  readonly apply: (config: AgentConfig) => void;
  readonly log: Logger;
}

export interface ReloadOutcome {
  readonly status: 200 | 401 | 404 | 409 | 422;
  readonly answer: ReloadAnswer | { readonly error: string };
}

/** How often the file is looked at: a mounted ConfigMap changes by a link that is swapped, which no event tells of. */
const WATCH_MS = 1_000;

/** @throws InvalidInputError where the file cannot be read, or is neither JSON nor YAML. */
export function readConfigFile(path: string): ConfigFile & { readonly content: unknown } {
  try {
    const bytes = readFileSync(path);
    return { path, bytes, content: parseYaml(bytes.toString('utf8')) };
  } catch (error) {
    throw new InvalidInputError('--config', [
      { path, given: messageOf(error), remedy: 'must be a readable file of JSON or YAML' },
    ]);
  }
}

/**
 * Takes changed configuration while the agent runs: over HTTP, signed, from the operator, and from the file that it
 * was started with. Of either only the fields that need no restart count; one that would be refused at the start is
 * refused here too, and the agent goes on with what it has.
 */
export class Reloads {
  readonly #options: ReloadsOptions;
  #config: AgentConfig;
  #hash: string;
  #fileHash: string;

  constructor(options: ReloadsOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#hash = options.file === undefined ? '' : configHash(options.file.bytes);
    this.#fileHash = this.#hash;
  }

  /** Names the file that the agent runs by; empty without one. */
  get hash(): string {
    return this.#hash;
  }

  /** What came over HTTP: see api/reload.ts. */
  push(body: Buffer, signature: string): ReloadOutcome {
    const { origin } = this.#config;
    if (origin === undefined)
      return refusal(404, 'this agent’s configuration names nobody who may replace it');
    if (!isSignedReload(origin.reloadKey, body, signature))
      return refusal(401, 'the signature is not of the key that this agent’s configuration names');
    return this.#take(body, 'a reload');
  }

  /** Looks at the file from now on. */
  watch(): void {
    const { file } = this.#options;
    if (file !== undefined)
      watchFile(file.path, { interval: WATCH_MS, persistent: false }, () => this.#readAgain(file.path));
  }

  stop(): void {
    if (this.#options.file !== undefined) unwatchFile(this.#options.file.path);
  }

  #readAgain(path: string): void {
    const { log } = this.#options;
    let bytes: Buffer;
    try {
      bytes = readFileSync(path);
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'the configuration file cannot be read; going on without it');
      return;
    }
    const hash = configHash(bytes);
    if (hash === this.#fileHash) return;
    this.#fileHash = hash;
    if (hash === this.#hash) return;
    const { status, answer } = this.#take(bytes, path);
    // A mount lags behind what was sent: an older generation in it is the rule.
    if (status === 409) log.debug(answer, 'the configuration file is older than what the agent runs by');
    else if ('error' in answer) log.error(answer, 'the changed configuration file is refused');
  }

  #take(bytes: Buffer, what: string): ReloadOutcome {
    let next: AgentConfig;
    try {
      next = resolveAgentConfig(parseYaml(bytes.toString('utf8')), this.#options.env, what);
    } catch (error) {
      return refusal(422, messageOf(error));
    }
    const { origin } = this.#config;
    if (origin !== undefined && next.origin?.uid !== origin.uid)
      return refusal(409, `it is of another tier (${next.origin?.tier ?? 'none'}) than ${origin.tier}`);
    const generation = next.origin?.generation ?? 0;
    if (origin !== undefined && generation < origin.generation)
      return refusal(409, `generation ${generation} is older than ${origin.generation}, which runs`);
    const restart = whyRestart(this.#config, next);
    if (restart !== undefined) return refusal(422, restart);
    const hash = configHash(bytes);
    if (hash !== this.#hash) {
      this.#config = withHotPart(this.#config, next);
      this.#options.apply(this.#config);
      this.#hash = hash;
      this.#options.log.info({ configHash: hash, generation, what }, 'configuration changed');
    }
    return { status: 200, answer: { configHash: hash } };
  }
}

/** What of a configuration this process cannot do; undefined: all of what is hot. */
function whyRestart(now: AgentConfig, next: AgentConfig): string | undefined {
  if (isGuarded(next) !== isGuarded(now))
    return 'security.accessRules can only come or go with a restart of an agent that does not require auth';
  const encrypted = next.namespaces.find(({ encrypt }) => encrypt);
  if (encrypted !== undefined && now.encryption.keyFile === undefined)
    return `namespace '${encrypted.name}' can only be encrypted with a restart: this agent was started without encryption.keyFile`;
  return undefined;
}

function refusal(status: 401 | 404 | 409 | 422, error: string): ReloadOutcome {
  return { status, answer: { error } };
}
