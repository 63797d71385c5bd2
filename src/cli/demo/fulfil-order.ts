import { defineTask } from "../../workflow/define-task.ts";
import { RetryableError } from "../../workflow/errors.ts";
import { chanceOf } from "./chance.ts";
import { inputSchema } from "./input.ts";
import { pretendToWork } from "./pretend.ts";

const attemptsMax = 8;

/** Whether the bank is too busy for this attempt. It is for three in ten. */
export function isBankBusy(order: number, attempt: number): boolean {
  return chanceOf(`bank ${order} ${attempt}`) < 0.3;
}

/** An order on its way: a step that often fails for a moment and is tried again. */
export const fulfilOrder = defineTask({
  namespace: "shop",
  name: "fulfil_order",
  version: "1.0.0",
  input: inputSchema({ order: "whole number", customer: "text", items: "list of texts" }),
})
  .step("reserve_stock", async (context) => {
    const { order, items } = context.input;
    await pretendToWork(context, { subject: `order ${order}`, fromMs: 40, toMs: 160 });
    return { reservation: `R-${order}`, parcels: Math.ceil(items.length / 2) };
  })
  .step(
    "charge_card",
    {
      after: ["reserve_stock"],
      retry: { maxAttempts: attemptsMax, initialDelayMs: 200, maxDelayMs: 1000 },
      timeoutMs: 10_000,
    },
    async (context) => {
      const { order } = context.input;
      await pretendToWork(context, { subject: `order ${order}`, fromMs: 60, toMs: 300 });
      if (isBankBusy(order, context.attempt)) throw new RetryableError("the bank is busy");
      return { receipt: `C-${order}-${context.attempt}` };
    },
  )
  .step("ship", { after: ["reserve_stock", "charge_card"] }, async (context) => {
    const { order } = context.input;
    await pretendToWork(context, { subject: `order ${order}`, fromMs: 80, toMs: 400 });
    const { parcels } = context.results.reserve_stock;
    return { parcels: Array.from({ length: parcels }, (_, index) => `P-${order}-${index + 1}`) };
  })
  .step("notify_customer", { after: ["charge_card", "ship"] }, async (context) => {
    const { order, customer } = context.input;
    await pretendToWork(context, { subject: `order ${order}`, fromMs: 20, toMs: 60 });
    const { charge_card, ship } = context.results;
    return { to: customer, text: `${ship.parcels.length} parcels are on their way (${charge_card.receipt})` };
  });
