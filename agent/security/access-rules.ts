import type { AccessRule, Action } from '../../api/port-auth.ts';
import { AgentError } from '../errors.ts';
import type { Identity } from './identity.ts';

/** Identities whose rights are kept at hand; those of others are worked out anew. */
const MAX_IDENTITIES = 10_000;
/** Where there are no rules at all: who was given a token for this very agent may do everything. */
const WITHOUT_RULES: readonly AccessRule[] = [
  { identities: ['token:*'], namespaces: ['*'], allow: ['read', 'write', 'invalidate', 'admin'] },
];

/** Which identity may do what. Replaced as a whole while the agent runs. */
export class AccessRules {
  #rules: readonly AccessRule[];
  readonly #permissions = new Map<string, Permissions>();
  /** Another one: what was worked out before no longer holds. */
  version = 1;
  /** Times that something was asked for that they do not allow. */
  denials = 0;

  /** @param rules undefined: there are none, not even an empty list */
  constructor(rules: readonly AccessRule[] | undefined) {
    this.#rules = rules ?? WITHOUT_RULES;
  }

  replace(rules: readonly AccessRule[] | undefined): void {
    this.#rules = rules ?? WITHOUT_RULES;
    this.#permissions.clear();
    this.version += 1;
  }

  of(identity: string): Permissions {
    const known = this.#permissions.get(identity);
    if (known !== undefined) return known;
    const permissions = new Permissions(
      this.#rules.filter(({ identities }) => identities.some((pattern) => matches(pattern, identity))),
    );
    if (this.#permissions.size >= MAX_IDENTITIES) this.#permissions.clear();
    this.#permissions.set(identity, permissions);
    return permissions;
  }
}

/** What one identity may do: what no rule allows is denied. */
export class Permissions {
  readonly admin: boolean;
  readonly #names: Readonly<Record<Action, ReadonlySet<string>>>;
  readonly #prefixes: Readonly<Record<Action, readonly string[]>>;

  constructor(rules: readonly AccessRule[]) {
    const patterns = (action: Action) =>
      rules.filter(({ allow }) => allow.includes(action)).flatMap(({ namespaces }) => namespaces);
    const namesOf = (action: Action) => new Set(patterns(action).filter((name) => !name.endsWith('*')));
    const prefixesOf = (action: Action) =>
      patterns(action)
        .filter((name) => name.endsWith('*'))
        .map((name) => name.slice(0, -1));
    this.admin = patterns('admin').length > 0;
    this.#names = byAction(namesOf);
    this.#prefixes = byAction(prefixesOf);
  }

  may(action: Action, namespace: string): boolean {
    if (this.#names[action].has(namespace)) return true;
    for (const prefix of this.#prefixes[action]) if (namespace.startsWith(prefix)) return true;
    return false;
  }
}

function byAction<T>(of: (action: Action) => T): Record<Action, T> {
  return { read: of('read'), write: of('write'), invalidate: of('invalidate'), admin: of('admin') };
}

function matches(pattern: string, identity: string): boolean {
  return pattern.endsWith('*') ? identity.startsWith(pattern.slice(0, -1)) : pattern === identity;
}

/** Whoever makes a call, with what the rules of the moment let it do. */
export class Caller {
  readonly #rules: AccessRules;
  #identity: Identity;
  #permissions: Permissions;
  #version: number;
  /** What it goes on reading for as long as its stream stands. */
  #lasting: (() => readonly string[]) | undefined;

  constructor(identity: Identity, rules: AccessRules) {
    this.#identity = identity;
    this.#rules = rules;
    this.#permissions = rules.of(identity.name);
    this.#version = rules.version;
  }

  get identity(): Identity {
    return this.#identity;
  }

  /** The same one, made sure of for longer. */
  renewed(identity: Identity): void {
    this.#identity = identity;
  }

  may(action: Action, namespace: string): boolean {
    return this.#present().may(action, namespace);
  }

  /** @throws AgentError EC_PERMISSION_DENIED */
  check(action: Action, namespace: string): void {
    if (this.may(action, namespace)) return;
    this.#rules.denials += 1;
    throw denied(`${this.#identity.name} may not ${action} in namespace '${namespace.slice(0, 80)}'`);
  }

  /** @throws AgentError EC_PERMISSION_DENIED */
  checkAdmin(call: string): void {
    if (this.#present().admin) return;
    this.#rules.denials += 1;
    throw denied(`${this.#identity.name} may not call ${call}, which needs admin`);
  }

  /** Checks that it may read these, now and whenever rules change. @throws AgentError EC_PERMISSION_DENIED */
  checkLasting(namespaces: () => readonly string[]): void {
    this.#lasting = namespaces;
    this.checkAgain();
  }

  /** @throws AgentError EC_PERMISSION_DENIED */
  checkAgain(): void {
    for (const namespace of this.#lasting?.() ?? []) this.check('read', namespace);
  }

  #present(): Permissions {
    if (this.#version !== this.#rules.version) {
      this.#version = this.#rules.version;
      this.#permissions = this.#rules.of(this.#identity.name);
    }
    return this.#permissions;
  }
}

function denied(what: string): AgentError {
  return new AgentError('EC_PERMISSION_DENIED', `${what}; no rule of security.accessRules allows it`);
}
