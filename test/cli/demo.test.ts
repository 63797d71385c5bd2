import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { chanceOf } from "../../src/cli/demo/chance.ts";
import { fulfilOrder, isBankBusy } from "../../src/cli/demo/fulfil-order.ts";
import { isPublishingRefused, nightlyReport } from "../../src/cli/demo/nightly-report.ts";
import { demoDefinitions, demoTask } from "../../src/cli/demo/workload.ts";

const numbers = Array.from({ length: 3000 }, (_, index) => index + 1);

function shareOf(isSo: (number: number) => boolean): number {
  return numbers.filter(isSo).length / numbers.length;
}

describe("the demo's workload", () => {
  test("is the same each time, and takes the templates in turn", () => {
    for (const number of numbers.slice(0, 60)) assert.deepEqual(demoTask(number), demoTask(number));
    const names = numbers.slice(0, 3).map((number) => demoTask(number).template.name);
    assert.deepEqual(names.toSorted(), demoDefinitions.map(({ name }) => name.name).toSorted());
  });

  test("passes the schemas of its templates, which accept nothing else", () => {
    const accepts = (template: unknown, input: unknown): boolean => {
      const schema = demoDefinitions.find(({ name }) => name === template)?.schema;
      const result = schema?.["~standard"].validate(input);
      return result !== undefined && "value" in result;
    };
    for (const number of numbers.slice(0, 60)) {
      const { template, input } = demoTask(number);
      assert.ok(accepts(template, input), JSON.stringify(input));
      assert.ok(!accepts(template, { ...(input as object), surprise: 1 }));
      assert.ok(!accepts(template, {}));
    }
    assert.ok(!accepts(fulfilOrder.name, null));
    assert.ok(!accepts(fulfilOrder.name, { order: 1, customer: "", items: [] }));
    assert.ok(!accepts(fulfilOrder.name, { order: 1, customer: "a", items: [1] }));
    assert.ok(!accepts(nightlyReport.name, { night: 1.5 }));
  });

  test("fails as often as it says", () => {
    const around = (share: number, expected: number): void => {
      assert.ok(Math.abs(share - expected) < 0.03, `${share} is not about ${expected}`);
    };
    around(
      shareOf((number) => isBankBusy(number, 1)),
      0.3,
    );
    around(
      shareOf((number) => isBankBusy(number, 1) && isBankBusy(number, 2)),
      0.09,
    );
    around(shareOf(isPublishingRefused), 0.22);
    around(
      shareOf((number) => chanceOf(`x ${number}`) < 0.5),
      0.5,
    );
  });

  test("has no order among the first that would exhaust its attempts", () => {
    const orders = numbers.filter((number) => demoTask(number).template === fulfilOrder.name).slice(0, 200);
    const attemptsMax = fulfilOrder.spec.steps.find(({ name }) => name === "charge_card")?.retry.maxAttempts ?? 0;
    for (const order of orders) {
      const attempts = Array.from({ length: attemptsMax }, (_, index) => index + 1);
      assert.ok(
        attempts.some((attempt) => !isBankBusy(order, attempt)),
        `order ${order}`,
      );
    }
  });
});
