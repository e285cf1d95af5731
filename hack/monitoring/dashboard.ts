/** A question to Prometheus, and how its series are called. */
export interface Query {
  readonly expr: string;
  /** May name labels: `{{instance}}`. */
  readonly legend: string;
  /** There may be nothing to tell: nothing has happened yet, or it is not configured. */
  readonly mayBeEmpty?: boolean;
}

export type Unit = 'short' | 'percentunit' | 's' | 'bytes' | 'ops' | 'dateTimeAsIso';

export interface Panel {
  readonly title: string;
  /** What one sees in it, and what to think of it. */
  readonly description: string;
  readonly kind?: 'timeseries' | 'stat' | 'table';
  readonly unit?: Unit;
  /** Of 24. */
  readonly width?: number;
  readonly stacked?: boolean;
  /** From which value on it is yellow, and red. */
  readonly limits?: readonly [yellow: number, red: number];
  /** Below the limits it is bad, not above. */
  readonly lowIsBad?: boolean;
  readonly queries: readonly Query[];
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

export interface Variable {
  readonly name: string;
  readonly label: string;
  /** Of Grafana's Prometheus data source: `label_values(…)` or `query_result(…)`. */
  readonly query: string;
  /** Finds text and value in each result. */
  readonly regex?: string;
  /** One at a time; otherwise several, and all to begin with. */
  readonly single?: boolean;
}

export interface Dashboard {
  /** Also the name of its file. */
  readonly name: string;
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly variables: readonly Variable[];
  readonly rows: readonly Row[];
}

const DATASOURCE = { type: 'prometheus', uid: '$datasource' };
const COLUMNS = 24;
const PANEL_HEIGHT = 8;
const STAT_HEIGHT = 4;
const TAG = 'edgecache';

interface Place {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

/** As Grafana 10 and newer read it. */
export function grafanaJson({ uid, title, description, variables, rows }: Dashboard): object {
  return {
    uid,
    title,
    description,
    tags: [TAG],
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    timezone: 'browser',
    annotations: { list: [] },
    links: [
      {
        type: 'dashboards',
        title: 'Edge Cache',
        tags: [TAG],
        asDropdown: true,
        includeVars: true,
        keepTime: true,
        icon: 'external link',
        targetBlank: false,
      },
    ],
    templating: { list: [datasourceVariable(), ...variables.map(queryVariable)] },
    panels: panelsOf(rows),
  };
}

function datasourceVariable(): object {
  return {
    name: 'datasource',
    label: 'Data source',
    type: 'datasource',
    query: 'prometheus',
    refresh: 1,
    hide: 0,
  };
}

function queryVariable({ name, label, query, regex = '', single = false }: Variable): object {
  return {
    name,
    label,
    type: 'query',
    datasource: DATASOURCE,
    definition: query,
    query: { query, refId: name },
    regex,
    // Anew when the time range changes: agents come and go.
    refresh: 2,
    sort: 1,
    hide: 0,
    multi: !single,
    includeAll: !single,
    // Matches where the label is missing too, as `namespace` is outside Kubernetes.
    ...(single ? {} : { allValue: '.*', current: { text: 'All', value: '$__all' } }),
  };
}

/** Rows below one another; panels from left to right, and on in the next line. */
function panelsOf(rows: readonly Row[]): object[] {
  const panels: object[] = [];
  let y = 0;
  for (const { title, panels: inRow } of rows) {
    panels.push({
      id: panels.length + 1,
      type: 'row',
      title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: COLUMNS, h: 1 },
    });
    y += 1;
    let x = 0;
    let lineHeight = 0;
    for (const panel of inRow) {
      const w = panel.width ?? 8;
      const h = panel.kind === 'stat' ? STAT_HEIGHT : PANEL_HEIGHT;
      if (x + w > COLUMNS) {
        x = 0;
        y += lineHeight;
        lineHeight = 0;
      }
      panels.push(grafanaPanel(panel, panels.length + 1, { x, y, w, h }));
      x += w;
      lineHeight = Math.max(lineHeight, h);
    }
    y += lineHeight;
  }
  return panels;
}

function grafanaPanel(panel: Panel, id: number, gridPos: Place): object {
  const { title, description, kind = 'timeseries', queries } = panel;
  return {
    id,
    type: kind,
    title,
    description,
    datasource: DATASOURCE,
    gridPos,
    targets: queries.map((query, i) => target(query, kind, String.fromCharCode(65 + i))),
    fieldConfig: { defaults: fieldDefaults(panel), overrides: [] },
    options: OPTIONS[kind],
  };
}

function target({ expr, legend }: Query, kind: string, refId: string): object {
  return {
    refId,
    datasource: DATASOURCE,
    editorMode: 'code',
    expr: expr.replace(/\s+/g, ' ').trim(),
    legendFormat: legend,
    range: kind === 'timeseries',
    instant: kind !== 'timeseries',
    ...(kind === 'table' ? { format: 'table' } : {}),
    // Points that lead from a slow event to its trace, where agents are traced.
    ...(kind === 'timeseries' && expr.includes('histogram_quantile') ? { exemplar: true } : {}),
  };
}

function fieldDefaults({
  kind = 'timeseries',
  unit = 'short',
  stacked = false,
  limits,
  lowIsBad = false,
}: Panel): object {
  const colours = lowIsBad ? ['red', 'yellow', 'green'] : ['green', 'yellow', 'red'];
  const steps = [null, ...(limits ?? [])].map((value, i) => ({
    value,
    color: colours[limits === undefined ? 0 : i],
  }));
  const isShare = unit === 'percentunit';
  return {
    unit,
    ...(isShare ? { min: 0, max: 1 } : { min: 0 }),
    thresholds: { mode: 'absolute', steps: limits === undefined ? [{ value: null, color: 'green' }] : steps },
    ...(kind === 'timeseries'
      ? {
          color: { mode: 'palette-classic' },
          custom: {
            drawStyle: 'line',
            lineWidth: 1,
            fillOpacity: stacked ? 30 : 5,
            showPoints: 'never',
            stacking: { mode: stacked ? 'normal' : 'none', group: 'A' },
          },
        }
      : {}),
  };
}

const OPTIONS = {
  timeseries: {
    legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] },
    tooltip: { mode: 'multi', sort: 'desc' },
  },
  stat: {
    reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
    colorMode: 'value',
    graphMode: 'none',
    textMode: 'auto',
    justifyMode: 'auto',
    orientation: 'auto',
  },
  table: { showHeader: true, cellHeight: 'sm', footer: { show: false } },
} as const;
