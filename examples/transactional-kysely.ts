// An order and the task that fulfils it commit together, or neither does: with Kysely.
// DATABASE_URL=postgres://localhost/shop node --import tsx examples/transactional-kysely.ts
import { type Generated, Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import { defineTask, kyselyTransaction, type TaskHandle, Tasker } from "../src/index.ts"; // in your project: "tasker"

interface Shop {
  readonly orders: { readonly id: Generated<number>; readonly customer: string; readonly paid: boolean };
}

const shipOrder = defineTask<{ orderId: number }>({ namespace: "shop", name: "ship_order", version: "1.0.0" })
  .step("pack", ({ input }) => ({ parcel: `parcel ${input.orderId}` }))
  .step("hand_over", { after: ["pack"] }, ({ results }) => `${results.pack.parcel} is on its way`);

const pool = new pg.Pool({ connectionString: process.env["DATABASE_URL"] });
await pool.query(
  "create table if not exists orders (id serial primary key, customer text not null, paid boolean not null)",
);
const shop = new Kysely<Shop>({ dialect: new PostgresDialect({ pool }) });
const tasker = await Tasker.start({ tasks: [shipOrder], migrate: true });

function placeOrder(customer: string, paid: boolean): Promise<TaskHandle<{ readonly hand_over: string }>> {
  return shop.transaction().execute(async (trx) => {
    const { id } = await trx.insertInto("orders").values({ customer, paid }).returning("id").executeTakeFirstOrThrow();
    const task = await tasker.submit(shipOrder, { orderId: id }, { transaction: kyselyTransaction(trx) });
    if (!paid) throw new Error(`${customer} has not paid`); // Takes the order back, and the task with it.
    return task;
  });
}

try {
  const task = await placeOrder("Ada", true);
  console.log((await task.result()).hand_over);
  await placeOrder("Bob", false).catch((error: Error) => console.log(`no order and no task: ${error.message}`));
} finally {
  await tasker.stop();
  await shop.destroy();
}
