import type { AnyTaskDefinition } from "../../workflow/define-task.ts";
import type { TemplateName } from "../../workflow/template.ts";
import { chanceOf } from "./chance.ts";
import { fulfilOrder } from "./fulfil-order.ts";
import { nightlyReport } from "./nightly-report.ts";
import { processDocument } from "./process-document.ts";

/** The templates of the demo. */
export const demoDefinitions: readonly AnyTaskDefinition[] = [fulfilOrder, processDocument, nightlyReport];

/** A task of the demo, to be submitted. */
export interface DemoTask {
  readonly template: TemplateName;
  readonly input: unknown;
}

const goods = ["apples", "bread", "cheese", "dates", "eggs", "flour"];

/** The demo's task of a number, always the same; the templates take turns. */
export function demoTask(number: number): DemoTask {
  if (number % 3 === 0) {
    const items = goods.filter((item, index) => index === number % goods.length || chanceOf(`${item} ${number}`) < 0.5);
    return { template: fulfilOrder.name, input: { order: number, customer: `customer ${number % 17}`, items } };
  }
  if (number % 3 === 1) {
    return { template: processDocument.name, input: { document: number, url: `https://files.example/${number}.pdf` } };
  }
  return { template: nightlyReport.name, input: { night: number } };
}
