// What a dashboard of ours may be: Grafana's own types, narrowed to the panels and the data source that we
// use, so that also a panel's options and its queries are checked.
import type { AnnotationQuery, Dashboard, FieldConfig, Panel, RowPanel, VariableModel } from "@grafana/schema";
import type { Options as BarGauge } from "@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen";
import type { Options as Stat } from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type {
  FieldConfig as TimelineField,
  Options as Timeline,
} from "@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen";
import type {
  FieldConfig as TableField,
  Options as Table,
} from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type {
  FieldConfig as GraphField,
  Options as Graph,
} from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

// JSON has no enums: where Grafana's types have one, a dashboard has its value.
type Json<T> = unknown extends T
  ? T
  : T extends string
    ? `${T}`
    : T extends number | boolean | null | undefined
      ? T
      : T extends ReadonlyArray<infer Item>
        ? Json<Item>[]
        : { [Key in keyof T]: Json<T[Key]> };

type Prometheus = { type: "prometheus"; uid: "${datasource}" };

type Query = {
  datasource: Prometheus;
  refId: string;
  expr: string;
  editorMode: "code";
  format: "table" | "time_series";
  instant: boolean;
  legendFormat: string;
  range: boolean;
};

type Strict<Type extends string, Options, Field> = Omit<
  Json<Panel>,
  "datasource" | "fieldConfig" | "options" | "targets" | "type" | "title" | "description" | "gridPos" | "id"
> & {
  type: Type;
  id: number;
  title: string;
  description: string;
  gridPos: { h: number; w: number; x: number; y: number };
  datasource: Prometheus;
  targets: Query[];
  options: Json<Options>;
  fieldConfig: {
    defaults: Omit<Json<FieldConfig>, "custom"> & { custom: Json<Field> };
    overrides: { matcher: { id: "byName"; options: string }; properties: { id: string; value: unknown }[] }[];
  };
};

type OurPanel =
  | Json<RowPanel>
  | Strict<"bargauge", BarGauge, Record<string, never>>
  | Strict<"stat", Stat, Record<string, never>>
  | Strict<"state-timeline", Timeline, TimelineField>
  | Strict<"table", Table, Partial<TableField>>
  | Strict<"timeseries", Graph, GraphField>;

type OurVariable = Omit<Json<VariableModel>, "datasource"> & { datasource?: Prometheus };

type OurAnnotation = Omit<Json<AnnotationQuery>, "datasource" | "target"> & {
  datasource: Prometheus;
  target: { refId: string; expr: string; range: true; interval: string };
  // Read by the Prometheus data source.
  titleFormat: string;
  tagKeys: string;
};

export type OurDashboard = Omit<Json<Dashboard>, "annotations" | "panels" | "templating"> & {
  annotations: { list: OurAnnotation[] };
  panels: OurPanel[];
  templating: { list: OurVariable[] };
};
