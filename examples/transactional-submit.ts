// An order and the task that fulfils it commit together, or neither does.
// DATABASE_URL=postgres://localhost/shop node --import tsx examples/transactional-submit.ts
import pg from "pg";
import { defineTask, type TaskHandle, Tasker } from "../src/index.ts"; // in your project: "tasker"

const shipOrder = defineTask<{ orderId: number }>({ namespace: "shop", name: "ship_order", version: "1.0.0" })
  .step("pack", ({ input }) => ({ parcel: `parcel ${input.orderId}` }))
  .step("hand_over", { after: ["pack"] }, ({ results }) => `${results.pack.parcel} is on its way`);

const shop = new pg.Pool({ connectionString: process.env["DATABASE_URL"] });
await shop.query(
  "create table if not exists orders (id serial primary key, customer text not null, paid boolean not null)",
);
const tasker = await Tasker.start({ tasks: [shipOrder], migrate: true });

async function placeOrder(customer: string, paid: boolean): Promise<TaskHandle<{ readonly hand_over: string }>> {
  const client = await shop.connect();
  try {
    await client.query("begin");
    const insert = "insert into orders (customer, paid) values ($1, $2) returning id";
    const { rows } = await client.query<{ id: number }>(insert, [customer, paid]);
    const task = await tasker.submit(shipOrder, { orderId: rows[0]?.id ?? 0 }, { transaction: client });
    if (!paid) throw new Error(`${customer} has not paid`);
    await client.query("commit");
    return task;
  } catch (error) {
    await client.query("rollback"); // Takes the order back, and the task with it.
    throw error;
  } finally {
    client.release();
  }
}

try {
  const task = await placeOrder("Ada", true);
  console.log((await task.result()).hand_over);
  await placeOrder("Bob", false).catch((error: Error) => console.log(`no order and no task: ${error.message}`));
} finally {
  await tasker.stop();
  await shop.end();
}
