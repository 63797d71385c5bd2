import { z } from "zod";
import { defineTask, Tasker } from "../src/index.ts"; // in your project: "tasker"

const Order = z.object({ id: z.number(), items: z.array(z.string()).min(1) });

const fulfilOrder = defineTask({ namespace: "bakery", name: "fulfil_order", version: "1.0.0", input: Order })
  .step("reserve", ({ input }) => ({ shelf: `shelf ${input.id}`, items: input.items.length }))
  .step("charge", { retry: { maxAttempts: 5 }, timeoutMs: 10_000 }, async ({ input, idempotencyKey, signal }) => {
    // A real handler would call a bank, with the key that makes a repeated call harmless and the signal that ends it:
    // await fetch("https://bank.example/charges", { method: "POST", headers: { "Idempotency-Key": idempotencyKey }, signal })
    signal.throwIfAborted();
    return { receipt: `${input.id}-${idempotencyKey.slice(0, 8)}` };
  })
  .step("ship", { after: ["reserve", "charge"] }, ({ results }) => {
    return `${results.reserve.items} items from ${results.reserve.shelf}, paid by ${results.charge.receipt}`;
  });

// Postgres comes along in ./.tasker, unless DATABASE_URL names yours.
const tasker = await Tasker.start({ tasks: [fulfilOrder] });
try {
  const task = await tasker.submit(fulfilOrder, { id: 1, items: ["bread", "butter"] });
  const { ship } = await task.result();
  console.log(`shipped: ${ship}`);
} finally {
  await tasker.stop();
}
