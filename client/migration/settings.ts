import { type InputProblem, InvalidInputError } from '../../api/errors.ts';

/**
 * How far a migration has come.
 * - `observe`: the existing cache answers; a sample of its answers is compared with the source of truth.
 * - `publish`: changes are told to Edge Cache as well, in the background; its answers are compared too.
 * - `read`: a share of the keys is read through Edge Cache, with the existing cache as fallback.
 * - `alone`: Edge Cache answers. Changes still delete from the existing cache, so that there is a way back.
 */
export const PHASES = ['observe', 'publish', 'read', 'alone'] as const;
export type Phase = (typeof PHASES)[number];

/** What may be changed while the application runs. */
export interface MigrationSettings {
  readonly phase: Phase;
  /** Share of the keys that are read through Edge Cache in phase `read`, from 0 to 1; the same keys in every process. */
  readonly edgeShare: number;
  /** Share of the reads that are compared with the source of truth, from 0 to 1. */
  readonly sampleShare: number;
}

export const DEFAULT_SETTINGS: MigrationSettings = { phase: 'observe', edgeShare: 0, sampleShare: 0.01 };

/** @throws InvalidInputError naming each wrong field */
export function checkSettings(settings: MigrationSettings): MigrationSettings {
  const problems: InputProblem[] = [];
  const { phase, edgeShare, sampleShare } = settings;
  if (!PHASES.includes(phase))
    problems.push({ path: 'phase', given: JSON.stringify(phase), remedy: `must be ${PHASES.join(', ')}` });
  for (const [path, given] of Object.entries({ edgeShare, sampleShare })) {
    // NaN is in no range.
    if (!(given >= 0 && given <= 1))
      problems.push({ path, given: String(given), remedy: 'must be a number from 0 to 1' });
  }
  if (problems.length > 0) throw new InvalidInputError('the settings of a migration', problems);
  return { phase, edgeShare, sampleShare };
}

/** Whether users are given what Edge Cache answers: then a change that it was not told of would be a stale answer. */
export function readsEdge({ phase, edgeShare }: MigrationSettings): boolean {
  return phase === 'alone' || (phase === 'read' && edgeShare > 0);
}

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
const TWO_TO_32 = 2 ** 32;

/** Whether a key is among the share that Edge Cache answers: one that is stays so while the share grows. */
export function isInShare(key: string, share: number): boolean {
  let hash = FNV_OFFSET;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), FNV_PRIME);
  // FNV alone leaves the high bits of short keys alike; this is MurmurHash3's last step.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / TWO_TO_32 < share;
}
