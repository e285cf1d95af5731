/** Where an alert's threshold stands in the values of the chart: `prometheusRule.thresholds.NAME.LEVEL`. */
export type Severity = 'warning' | 'critical';

/** A rule as Prometheus has it; thresholds in its texts are `<NAME.LEVEL>` until the chart puts its values there. */
export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: { readonly severity: Severity };
  readonly annotations: { readonly summary: string; readonly description: string };
}

export interface AlertGroup {
  readonly name: string;
  readonly rules: readonly AlertRule[];
}

interface AlertText {
  /** Also the name of its section in docs/runbook.md. */
  readonly name: string;
  /** One line for who is woken by it; may name labels and the value. */
  readonly summary: string;
  /** What it means for who uses the cache. */
  readonly description: string;
}

export interface AlertSource extends AlertText {
  readonly severity: Severity;
  readonly expr: string;
  readonly for: string;
}

export interface AlertPairSource extends AlertText {
  /** Name of the thresholds in the values. */
  readonly thresholds: string;
  readonly expr: (threshold: string) => string;
  /** How long it must last, by severity. */
  readonly for: Readonly<Record<Severity, string>>;
}

export function threshold(name: string, level: string): string {
  return `<${name}.${level}>`;
}

export function anAlert({ name, severity, summary, description, expr, for: lasts }: AlertSource): AlertRule {
  return {
    alert: name,
    expr: expr.replace(/\s+/g, ' ').trim(),
    for: lasts,
    labels: { severity },
    annotations: { summary, description },
  };
}

/** The same question with a threshold for each severity. */
export function aPair({ thresholds, expr, for: lasts, ...text }: AlertPairSource): AlertRule[] {
  return (['warning', 'critical'] as const).map((severity) =>
    anAlert({ ...text, severity, expr: expr(threshold(thresholds, severity)), for: lasts[severity] }),
  );
}

export type Thresholds = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** The groups as the chart renders them with these values. @throws where a threshold has no value */
export function withThresholds(groups: readonly AlertGroup[], thresholds: Thresholds): AlertGroup[] {
  const fill = (text: string) =>
    text.replace(/<(\w+)\.(\w+)>/g, (all, name: string, level: string) => {
      const value = thresholds[name]?.[level];
      if (value === undefined) throw new Error(`${all}: no such value under prometheusRule.thresholds`);
      return String(value);
    });
  return groups.map(({ name, rules }) => ({
    name,
    rules: rules.map((rule) => ({
      ...rule,
      expr: fill(rule.expr),
      annotations: {
        summary: fill(rule.annotations.summary),
        description: fill(rule.annotations.description),
      },
    })),
  }));
}
