import type { AccessOptions } from '../client/access.ts';
import type { ClientTlsOptions } from '../client/tls.ts';
import { type Given, type Options, usageError } from './command.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** How agents are shown who asks, and known. Each has an environment variable. */
export const ACCESS_OPTIONS: Options = {
  tls: { type: 'boolean', help: 'speak TLS (EDGECACHE_TLS=true); what --ca and the like imply' },
  ca: {
    type: 'string',
    value: 'FILE',
    help: 'authorities that agents are verified by (EDGECACHE_CA; default: the public ones)',
  },
  cert: { type: 'string', value: 'FILE', help: 'own certificate, as PEM (EDGECACHE_CERT)' },
  'cert-key': { type: 'string', value: 'FILE', help: 'its private key (EDGECACHE_CERT_KEY)' },
  'server-name': {
    type: 'string',
    value: 'NAME',
    help: 'name in the agents’ certificate (EDGECACHE_SERVER_NAME; default: the host of the address)',
  },
  'token-file': {
    type: 'string',
    value: 'FILE',
    help: 'file with the token to show (EDGECACHE_TOKEN_FILE; the token itself: EDGECACHE_TOKEN)',
  },
};

/** @throws CliError */
export function accessOf(given: Given, env: Env): AccessOptions {
  const option = (name: string): string | undefined => {
    const variable = `EDGECACHE_${name.toUpperCase().replaceAll('-', '_')}`;
    return given.text(name) ?? (env[variable] || undefined);
  };
  const caFile = option('ca');
  const certFile = option('cert');
  const keyFile = option('cert-key');
  const serverName = option('server-name');
  if ((certFile === undefined) !== (keyFile === undefined))
    throw usageError('--cert and --cert-key go together: a certificate and its private key');
  const tls: ClientTlsOptions = {
    ...(caFile === undefined ? {} : { caFile }),
    ...(certFile === undefined ? {} : { certFile }),
    ...(keyFile === undefined ? {} : { keyFile }),
    ...(serverName === undefined ? {} : { serverName }),
  };
  const isTls = given.flag('tls') || isOn(env.EDGECACHE_TLS) || Object.keys(tls).length > 0;
  return { ...(isTls ? { tls } : {}), ...tokenOf(option('token-file'), env.EDGECACHE_TOKEN) };
}

/** A file that is named goes before a token in the environment. */
function tokenOf(tokenFile: string | undefined, token: string | undefined): AccessOptions {
  if (tokenFile !== undefined) return { tokenFile };
  return token ? { token } : {};
}

/** @throws CliError */
function isOn(text: string | undefined): boolean {
  if (text === undefined || text === '' || text === 'false' || text === '0') return false;
  if (text === 'true' || text === '1') return true;
  throw usageError(`EDGECACHE_TLS: ${JSON.stringify(text)} must be true or false`);
}
