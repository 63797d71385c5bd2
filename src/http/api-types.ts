/** The shapes of what the API sends, for its clients. Types only: nothing of this is left at run time. */
export type {
  BottleneckAnalysis,
  Distribution,
  Finding,
  LifeParts,
  PerformanceMetrics,
  SlowStep,
  SlowTask,
} from "../analytics/answers.ts";
export type { Backlog, BacklogParameters, NamespaceBacklog } from "../analytics/backlog.ts";
export type { UnclaimableSteps } from "../analytics/unclaimable.ts";
export type {
  ComparedStep,
  CompareParameters,
  Comparison,
  Comparisons,
  VersionComparison,
  VersionFigures,
} from "../analytics/compare.ts";
export type { BottleneckParameters, PerformanceParameters } from "../analytics/parameters.ts";
export type {
  HistogramBucket,
  StepDetail,
  StepExample,
  StepIdentity,
  StepParameters,
  StepTrendPoint,
} from "../analytics/step-detail.ts";
export type { Timeseries, TimeseriesPoint } from "../analytics/timeseries.ts";
export type { TimeseriesBucket, TimeseriesParameters } from "../analytics/timeseries-parameters.ts";
export type { StepBody, TaskBody } from "./endpoints/get-task.ts";
export type { HealthCheck } from "./options.ts";
