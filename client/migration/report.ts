import type { JudgedReport, NamespaceReport } from './tally.ts';

/** What a migration has seen since it began in this process. */
export interface MigrationReport {
  readonly elapsedMs: number;
  readonly namespaces: readonly NamespaceReport[];
}

const HEAD = ['', 'compared', 'stale', 'between', 'in flight', 'ahead', 'moving', 'errors', 'dropped'];

/** A report as text, for a log or a terminal. */
export function formatReport({ elapsedMs, namespaces }: MigrationReport): string {
  const parts = namespaces.map((one) => formatNamespace(one));
  return [`Migration, after ${Math.round(elapsedMs / 1_000)} s`, ...parts].join('\n\n');
}

function formatNamespace(report: NamespaceReport): string {
  const { namespace, phase, edgeShare, sampleShare, reads, existing, edge, changes, existingErrors } = report;
  const share = phase === 'read' ? `, ${percent(edgeShare)} of the keys through Edge Cache` : '';
  const rows = [HEAD, judgedRow('existing cache', existing), judgedRow('Edge Cache', edge)];
  return [
    `${namespace}: phase ${phase}${share}, ${percent(sampleShare)} of the reads compared`,
    `  reads: ${reads.existingHits} by the existing cache, ${reads.existingMisses} missed there, ` +
      `${reads.edge} by Edge Cache, ${reads.fallbacks} fell back`,
    `  changes: ${changes.sent} sent, ${changes.failed} failed, ${changes.dropped} dropped, ${changes.waiting} waiting`,
    ...table(rows),
    ...agesLine('existing cache', existing),
    ...agesLine('Edge Cache', edge),
    ...errorLine('existing cache, last error', existing.lastError),
    ...errorLine('Edge Cache, last error', edge.lastError),
    ...errorLine('last fallback', reads.lastFallback),
    ...errorLine('changes, last error', changes.lastError),
    ...(existingErrors === 0
      ? []
      : [`  writes to the existing cache that failed unheard: ${existingErrors}`]),
  ].join('\n');
}

function judgedRow(name: string, report: JudgedReport): string[] {
  const { compared, stale, staleShare, staleBetween, inFlight, ahead, moving, errors, dropped } = report;
  const [low, high] = staleBetween;
  const seen =
    staleShare === undefined ? ['-', '-'] : [`${stale} (${percent(staleShare)})`, range(low, high)];
  return [name, compared, ...seen, inFlight, ahead, moving, errors, dropped].map(String);
}

function agesLine(name: string, { ages, stale }: JudgedReport): string[] {
  if (stale === 0) return [];
  const texts = ages.flatMap(({ upToMs, count }, i) =>
    count === 0 ? [] : [`${count} ${ageText(upToMs, ages[i - 1]?.upToMs ?? 0)}`],
  );
  return [`  age of stale answers of the ${name}, at least: ${texts.join(', ')}`];
}

function ageText(upToMs: number, fromMs: number): string {
  return Number.isFinite(upToMs) ? `up to ${duration(upToMs)}` : `above ${duration(fromMs)}`;
}

function duration(ms: number): string {
  if (ms < 1_000) return `${ms} ms`;
  return ms < 60_000 ? `${ms / 1_000} s` : `${ms / 60_000} min`;
}

function errorLine(what: string, message: string): string[] {
  return message === '' ? [] : [`  ${what}: ${message}`];
}

function range(low: number, high: number): string {
  return `${hundredths(low)} – ${percent(high)}`;
}

function percent(share: number): string {
  return `${hundredths(share)} %`;
}

function hundredths(share: number): number {
  return Number((share * 100).toFixed(2));
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => {
    const cells = row.map((cell, i) =>
      i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0),
    );
    return `  ${cells.join('  ')}`;
  });
}
