import type { ServerCredentials } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { type NamedToken, parseTokens } from '../../api/port-auth.ts';
import { isGuarded } from '../../api/reload.ts';
import type { Security } from '../../api/security.ts';
import { AgentError, messageOf } from '../errors.ts';
import { Declarations } from '../metrics/declarations.ts';
import { AccessRules } from './access-rules.ts';
import type { Authenticator } from './identity.ts';
import { type KubernetesApi, kubernetesOf, kubernetesReview } from './kubernetes-review.ts';
import { PortAuthenticator } from './port-authenticator.ts';
import { PortGuard } from './port-guard.ts';
import { PortTls } from './port-tls.ts';
import { StaticTokens } from './static-tokens.ts';
import { type Review, TokenReviews } from './token-reviews.ts';
import { WatchedFiles } from './watched-files.ts';

export interface PortSecurityOptions {
  readonly config: Security;
  /** From the environment; more may be in a file. */
  readonly tokens: readonly NamedToken[];
  /** Where ServiceAccounts are verified. Default: as the environment says. */
  readonly kubernetes?: KubernetesApi | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly registry: Registry;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  readonly log: Logger;
}

/** What protects the gRPC port: TLS, and who may do what. */
export class PortSecurity {
  /** Tells who callers are; for other ports too. Undefined: everybody may do everything. */
  readonly authenticator: Authenticator | undefined;
  readonly rules: AccessRules;
  readonly guard: PortGuard | undefined;
  readonly #options: PortSecurityOptions;
  readonly #tokenReloads = { taken: 0, refused: 0 };
  readonly #tls: PortTls;
  readonly #tokens: StaticTokens;
  readonly #tokenFile: WatchedFiles<'tokens'>;
  readonly #reviews: TokenReviews | undefined;
  #review: Review | undefined;

  constructor(options: PortSecurityOptions) {
    this.#options = options;
    const { config, tokens, registry, now, wallClock, log } = options;
    const { auth, accessRules } = config;
    this.#tls = new PortTls({ config: config.tls, wallClock, log });
    this.#tokens = new StaticTokens(tokens);
    this.#tokenFile = this.#buildTokenFile();
    this.rules = new AccessRules(accessRules);
    this.#reviews = auth.serviceAccounts
      ? new TokenReviews({ review: (token) => this.#ask(token), now, wallClock, log })
      : undefined;
    if (isGuarded({ security: config })) {
      const { required } = auth;
      const parts = { tokens: this.#tokens, reviews: this.#reviews, now, wallClock };
      this.authenticator = new PortAuthenticator({ required, ...parts });
      this.guard = new PortGuard({
        authenticator: this.authenticator,
        rules: this.rules,
        certificates: config.tls.clientCert !== 'none',
        now,
      });
    }
    this.#declare(new Declarations(registry));
  }

  /** What the port listens with; undefined: plain. @throws AgentError EC_SECURITY_FILE */
  start(): ServerCredentials | undefined {
    const { config, kubernetes, env, log } = this.#options;
    const { auth } = config;
    if (auth.tokenFile !== undefined) this.#loadTokens();
    if (auth.serviceAccounts) this.#review = kubernetesReview(kubernetes ?? kubernetesOf(env), auth.audience);
    const credentials = this.#tls.start();
    this.guard?.start();
    if (auth.required && credentials === undefined)
      log.warn(
        'callers show tokens to this port in plain text: turn on TLS (security.tls), or use a unix socket',
      );
    return credentials;
  }

  stop(): void {
    this.#tls.stop();
    this.#tokenFile.stop();
    this.guard?.stop();
  }

  /** Goes by other rules from now on; streams of those who may not go on end. */
  reconfigure({ accessRules }: Security): void {
    this.rules.replace(accessRules);
    this.guard?.recheck();
  }

  #ask(token: string): ReturnType<Review> {
    return this.#review?.(token) ?? Promise.reject(new Error('the agent is not started'));
  }

  #buildTokenFile(): WatchedFiles<'tokens'> {
    const { config, tokens, log } = this.#options;
    const path = config.auth.tokenFile;
    return new WatchedFiles({
      files: { tokens: path },
      take: ({ tokens: bytes }) => {
        const what = `${path} (security.auth.tokenFile, CACHE_AUTH_TOKEN_FILE)`;
        const more = parseTokens(String(bytes), '\n', what);
        this.#tokens.replace([...tokens, ...more]);
        this.guard?.recheck();
        this.#tokenReloads.taken += 1;
        log.info({ tokens: tokens.length + more.length }, 'tokens read');
      },
      failed: (error) => {
        this.#tokenReloads.refused += 1;
        log.error(
          { error: messageOf(error) },
          'the changed tokens cannot be used; going on with those before',
        );
      },
    });
  }

  #loadTokens(): void {
    try {
      this.#tokenFile.load();
      this.#tokenFile.watch();
    } catch (error) {
      throw new AgentError('EC_SECURITY_FILE', `security.auth.tokenFile: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  #declare(metrics: Declarations): void {
    this.#tls.declare(metrics);
    metrics.counters(
      'port_refusals',
      'Calls and streams that were refused: nobody known, nobody who could tell, or not allowed (each item of a batch counts).',
      ['reason'],
      () => [
        [{ reason: 'unauthenticated' }, this.guard?.refusals.unauthenticated ?? 0],
        [{ reason: 'unavailable' }, this.guard?.refusals.unavailable ?? 0],
        [{ reason: 'denied' }, this.rules.denials],
      ],
    );
    metrics.counters(
      'token_reloads',
      'Times that the file of tokens was read, or refused because it cannot be used.',
      ['result'],
      () => [
        [{ result: 'taken' }, this.#tokenReloads.taken],
        [{ result: 'refused' }, this.#tokenReloads.refused],
      ],
    );
    metrics.counters(
      'token_reviews',
      'Tokens of ServiceAccounts that the API server was asked about; limited: not asked, because there were too many.',
      ['result'],
      () => {
        const { yes = 0, no = 0, failed = 0, limited = 0 } = this.#reviews?.counters ?? {};
        return [
          [{ result: 'yes' }, yes],
          [{ result: 'no' }, no],
          [{ result: 'failed' }, failed],
          [{ result: 'limited' }, limited],
        ];
      },
    );
    metrics.gauge(
      'token_reviews_remembered',
      'Answers of the API server that are remembered.',
      () => this.#reviews?.size ?? 0,
    );
  }
}
