import { defineTask } from "../../workflow/define-task.ts";
import { PermanentError } from "../../workflow/errors.ts";
import { chanceOf } from "./chance.ts";
import { inputSchema } from "./input.ts";
import { pretendToWork } from "./pretend.ts";

/** Whether the site refuses the report of this night, however often it is tried. It does for about one in five. */
export function isPublishingRefused(night: number): boolean {
  return chanceOf(`site ${night}`) < 0.22;
}

/** Counts what one of the sources knows of a night. */
function collect(source: string) {
  return async (context: Parameters<typeof pretendToWork>[0] & { readonly input: { readonly night: number } }) => {
    const { night } = context.input;
    await pretendToWork(context, { subject: `night ${night}`, fromMs: 50, toMs: 300 });
    return { rows: Math.floor(10_000 * chanceOf(`${source} ${night}`)) };
  };
}

/** A report that is put together at night: one step is slow, and the last one sometimes fails for good. */
export const nightlyReport = defineTask({
  namespace: "reports",
  name: "nightly_report",
  version: "1.0.0",
  input: inputSchema({ night: "whole number" }),
})
  .step("collect_orders", collect("orders"))
  .step("collect_visits", collect("visits"))
  .step("collect_returns", collect("returns"))
  .step("aggregate", { after: ["collect_orders", "collect_visits", "collect_returns"] }, async (context) => {
    await pretendToWork(context, { subject: `night ${context.input.night}`, fromMs: 900, toMs: 1600 });
    const { collect_orders, collect_visits, collect_returns } = context.results;
    return { rows: collect_orders.rows + collect_visits.rows + collect_returns.rows };
  })
  .step("publish", { after: ["aggregate"] }, async (context) => {
    const { night } = context.input;
    await pretendToWork(context, { subject: `night ${night}`, fromMs: 30, toMs: 120 });
    if (isPublishingRefused(night)) throw new PermanentError("the site refuses the report: its template is outdated");
    return { path: `/reports/${night}` };
  });
