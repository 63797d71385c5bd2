// An order and the task that fulfils it commit together, or neither does: with Drizzle.
// DATABASE_URL=postgres://localhost/shop node --import tsx examples/transactional-drizzle.ts
import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { boolean, pgTable, serial, text } from "drizzle-orm/pg-core";
import pg from "pg";
import { defineTask, drizzleTransaction, type TaskHandle, Tasker } from "../src/index.ts"; // in your project: "tasker"

const orders = pgTable("orders", {
  id: serial().primaryKey(),
  customer: text().notNull(),
  paid: boolean().notNull(),
});

const shipOrder = defineTask<{ orderId: number }>({ namespace: "shop", name: "ship_order", version: "1.0.0" })
  .step("pack", ({ input }) => ({ parcel: `parcel ${input.orderId}` }))
  .step("hand_over", { after: ["pack"] }, ({ results }) => `${results.pack.parcel} is on its way`);

const pool = new pg.Pool({ connectionString: process.env["DATABASE_URL"] });
await pool.query(
  "create table if not exists orders (id serial primary key, customer text not null, paid boolean not null)",
);
const shop = drizzle(pool);
const tasker = await Tasker.start({ tasks: [shipOrder], migrate: true });

function placeOrder(customer: string, paid: boolean): Promise<TaskHandle<{ readonly hand_over: string }>> {
  return shop.transaction(async (tx) => {
    const [order] = await tx.insert(orders).values({ customer, paid }).returning();
    const input = { orderId: order?.id ?? 0 };
    const task = await tasker.submit(shipOrder, input, { transaction: drizzleTransaction(tx, sql) });
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
  await pool.end();
}
