// What a dashboard file may have: Grafana's own schema, with the options of the panels that ours uses.
import type { Dashboard, FieldConfig, Panel, RowPanel } from "@grafana/schema";
import type * as stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as timeseries from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

/** A type as JSON writes it: members of an enum are their values. */
type Json<T> = T extends string ? `${T}`
  : T extends number ? number
  : T extends boolean | null | undefined ? T
  : T extends (infer Item)[] ? Json<Item>[]
  : T extends object ? { [Key in keyof T]: Json<T[Key]> }
  : T;

interface Query {
  datasource: { type: "prometheus"; uid: string };
  expr: string;
  legendFormat: string;
  refId: string;
  instant?: boolean;
}

interface PanelOf<Type extends string, Options, Custom>
  extends Omit<Json<Panel>, "type" | "options" | "fieldConfig" | "targets"> {
  type: Type;
  options: Json<Options>;
  fieldConfig: {
    defaults: Omit<Json<FieldConfig>, "custom" | "mappings"> & { custom?: Json<Custom>; mappings?: object[] };
    overrides: never[];
  };
  targets: Query[];
}

export type DashboardFile = Omit<Json<Dashboard>, "panels"> & {
  panels: (
    | Json<RowPanel>
    | PanelOf<"timeseries", timeseries.Options, Partial<timeseries.FieldConfig>>
    | PanelOf<"stat", stat.Options, never>
  )[];
};
