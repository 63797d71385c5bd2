// An order and the task that fulfils it commit together, or neither does: with Prisma.
// DATABASE_URL=postgres://localhost/shop node --import tsx examples/transactional-prisma.ts
import pg from "pg";
import { defineTask, prismaTransaction, type TaskHandle, Tasker } from "../src/index.ts"; // in your project: "tasker"
import { openPrisma } from "./generated/prisma.js"; // in your project: new PrismaClient({ adapter: new PrismaPg(...) })

const shipOrder = defineTask<{ orderId: number }>({ namespace: "shop", name: "ship_order", version: "1.0.0" })
  .step("pack", ({ input }) => ({ parcel: `parcel ${input.orderId}` }))
  .step("hand_over", { after: ["pack"] }, ({ results }) => `${results.pack.parcel} is on its way`);

const connectionString = process.env["DATABASE_URL"] ?? "";
const setup = new pg.Client({ connectionString }); // in your project: prisma migrate
await setup.connect();
await setup.query(
  "create table if not exists orders (id serial primary key, customer text not null, paid boolean not null)",
);
await setup.end();
const shop = openPrisma(connectionString);
const tasker = await Tasker.start({ tasks: [shipOrder], migrate: true });

function placeOrder(customer: string, paid: boolean): Promise<TaskHandle<{ readonly hand_over: string }>> {
  return shop.$transaction(async (tx) => {
    const { id } = await tx.order.create({ data: { customer, paid } });
    const task = await tasker.submit(shipOrder, { orderId: id }, { transaction: prismaTransaction(tx) });
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
  await shop.$disconnect();
}
