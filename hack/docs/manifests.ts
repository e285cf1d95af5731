import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { InvalidInputError } from '../../api/errors.ts';
import { parseTier, TIER_KIND } from '../../api/tier.ts';
import type { Pages } from './links.ts';
import type { CodeBlock } from './markdown-page.ts';

/** Whole tiers in pages that `kubectl apply` would refuse, as `file:line: what`. */
export function wrongManifests(pages: Pages): string[] {
  return [...pages].flatMap(([path, { blocks }]) =>
    blocks
      .filter(({ language }) => language === 'yaml')
      .flatMap((block) => problemsOf(block).map((problem) => `${path}:${block.line}: ${problem}`)),
  );
}

function problemsOf({ text }: CodeBlock): string[] {
  return parseAllDocuments(text).flatMap((document) => {
    const [error] = document.errors;
    if (error !== undefined) return [error.message.split('\n')[0] ?? ''];
    const manifest: unknown = document.toJS();
    // Others are fragments, or not ours to judge.
    if (!z.looseObject({ kind: z.literal(TIER_KIND) }).safeParse(manifest).success) return [];
    try {
      parseTier(manifest);
      return [];
    } catch (problem) {
      if (!(problem instanceof InvalidInputError)) throw problem;
      return problem.problems.map(({ path, given, remedy }) => `${path}: got ${given}; ${remedy}`);
    }
  });
}
