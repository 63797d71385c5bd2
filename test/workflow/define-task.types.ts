/** Promises that the types of definitions make. Compiled, not run: `npm run types` fails when one is broken. */
import { z } from "zod";

import { defineTask, type TaskDefinition } from "../../src/workflow/define-task.ts";
import type { Stored } from "../../src/workflow/payload.ts";

/** Whether two types are the same, and not merely assignable to each other. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- T defers the two types, which makes the comparison exact
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** Compiles only for the very type that is named. */
const expectType = <Expected>() => ({
  is: <Actual>(_value: Actual, ..._proof: Same<Actual, Expected> extends true ? [] : [never]): void => {},
});
const expectSame = <A, B>(..._proof: Same<A, B> extends true ? [] : [never]): void => {};

const name = { namespace: "shop", name: "order", version: "1.0.0" };

// ---- the graph

defineTask(name)
  .step("pack", () => 1)
  // @ts-expect-error: there is no step "paint"
  .step("send", { after: ["paint"] }, () => 2);

defineTask(name)
  // @ts-expect-error: "pack" is defined below
  .step("send", { after: ["pack"] }, () => 2)
  .step("pack", () => 1);

defineTask(name)
  // @ts-expect-error: a step cannot wait for itself
  .step("send", { after: ["send"] }, () => 2);

defineTask(name)
  .step("pack", () => 1)
  // @ts-expect-error: the name is taken
  .step("pack", () => 2);

defineTask(name)
  .step("pack", () => 1)
  // @ts-expect-error: the name is taken, with options too
  .step("pack", { timeoutMs: 5 }, () => 2);

// @ts-expect-error: a step does something
defineTask(name).step("pack", { timeoutMs: 5 });

// @ts-expect-error: there is no such option
defineTask(name).step("pack", { timeout: 5 }, () => 1);

// ---- results are the outputs of `after`, and no others

defineTask(name)
  .step("count", () => 1)
  .step("pack", async () => ({ at: new Date(), weight: 1.5 }))
  .step("none", () => undefined)
  .step("label", { after: ["count", "pack", "none"] }, ({ results }) => {
    expectType<number>().is(results.count);
    expectType<string>().is(results.pack.at);
    expectType<number>().is(results.pack.weight);
    expectType<null>().is(results.none);
    return "x" as const;
  })
  .step("send", { after: ["label"] }, ({ results }) => {
    expectType<"x">().is(results.label);
    // Not the ancestors that are not named.
    expectSame<keyof typeof results, "label">();
  })
  .step("mail", ({ results }) => {
    expectSame<keyof typeof results, never>();
  })
  .step("log", { timeoutMs: 5 }, ({ results }) => {
    expectSame<keyof typeof results, never>();
  });

// ---- what every handler is given

defineTask(name).step("pack", (context) => {
  expectType<number>().is(context.attempt);
  expectType<string>().is(context.idempotencyKey);
  expectType<AbortSignal>().is(context.signal);
  expectType<string>().is(context.taskId);
  expectType<string>().is(context.stepName);
  expectType<string | null>().is(context.correlationId);
  expectType<unknown>().is(context.input);
});

// ---- the input: from a schema, or by a type parameter

const OrderInput = z.object({ items: z.array(z.string()), at: z.coerce.date(), note: z.string().default("") });

const checked = defineTask({ ...name, input: OrderInput }).step("pack", ({ input }) => {
  expectType<string[]>().is(input.items);
  // The schema gives out a Date; what is stored of it is a string.
  expectType<string>().is(input.at);
  // A default is filled in before the input is stored.
  expectType<string>().is(input.note);
  expectSame<keyof typeof input, "items" | "at" | "note">();
});

type SubmittedOf<Definition> =
  Definition extends TaskDefinition<infer Submitted, infer _I, infer _O> ? Submitted : never;
expectSame<SubmittedOf<typeof checked>, z.input<typeof OrderInput>>();

interface Order {
  readonly items: readonly string[];
  readonly at: Date;
}

const typed = defineTask<Order>(name).step("pack", ({ input }) => {
  expectType<string[]>().is(input.items);
  expectType<string>().is(input.at);
});
expectSame<SubmittedOf<typeof typed>, Order>();

// ---- what is stored and read back

class Money {
  readonly cents = 1;
  toJSON(): string {
    return String(this.cents);
  }
}

expectSame<Stored<string>, string>();
expectSame<Stored<Date>, string>();
expectSame<Stored<undefined>, null>();
expectSame<Stored<void>, null>();
expectSame<Stored<number | undefined>, number | null>();
expectSame<Stored<Money>, string>();
expectSame<Stored<unknown>, unknown>();
expectSame<Stored<bigint>, never>();
expectSame<Stored<() => void>, never>();
expectSame<Stored<readonly Date[]>, string[]>();
expectSame<Stored<(number | undefined)[]>, (number | null)[]>();
expectSame<Stored<[Date, 1]>, [string, 1]>();
expectSame<Stored<{ a: { b: Date }; readonly c?: Money }>, { a: { b: string }; readonly c?: string }>();
expectSame<Stored<"a" | "b">, "a" | "b">();
expectSame<Stored<boolean>, boolean>();
expectSame<Stored<Record<string, Date>>, Record<string, string>>();

// A property that is undefined is not there any more when it is read back, nor is one that JSON has no word for.
expectSame<Stored<{ a: number | undefined; b: Date }>, { b: string; a?: number }>();
expectSame<Stored<{ a: () => void; b: 1 }>, { b: 1 }>();
expectSame<Stored<{ a?: { b: Date | undefined }; c: unknown }>, { a?: { b?: string }; c: unknown }>();

interface Tree {
  readonly at: Date;
  readonly children: readonly Tree[];
}
interface StoredTree {
  readonly at: string;
  readonly children: StoredTree[];
}
declare const tree: Stored<Tree>;
const asStored: StoredTree = tree;
export const leaves = asStored.children.flatMap((child) => child.children.map((leaf) => leaf.at.toUpperCase()));
