import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";

import { type Dependent, inTopologicalOrder, longestPath } from "../../bench/replay/graph.ts";
import { randomCases } from "../support/random.ts";

/** Nodes in any order, each with parents among those of a lower number. */
const acyclic = fc.array(fc.array(fc.nat(), { maxLength: 4 }), { maxLength: 30 }).chain((wishes) => {
  const nodes = wishes.map((wish, index) => ({
    id: `n${index}`,
    parents: index === 0 ? [] : [...new Set(wish.map((parent) => `n${parent % index}`))],
  }));
  return fc.shuffledSubarray(nodes, { minLength: nodes.length });
});

function orderOf(nodes: readonly Dependent[]): readonly Dependent[] {
  const sorted = inTopologicalOrder(nodes);
  assert.ok("order" in sorted, "there is a cycle");
  return sorted.order;
}

describe("the topological order", () => {
  test("has each node once, after its parents", () => {
    fc.assert(
      fc.property(acyclic, (nodes) => {
        const order = orderOf(nodes);
        assert.deepEqual(order.map(({ id }) => id).toSorted(), nodes.map(({ id }) => id).toSorted());
        const place = new Map(order.map(({ id }, index) => [id, index]));
        for (const [index, { parents }] of order.entries()) {
          for (const parent of parents) assert.ok((place.get(parent) ?? Infinity) < index);
        }
      }),
      randomCases(500),
    );
  });

  test("of a graph with a cycle names it, edge by edge", () => {
    fc.assert(
      fc.property(acyclic, fc.integer({ min: 1, max: 5 }), (nodes, length) => {
        const ring = Array.from({ length }, (_, index) => ({
          id: `ring${index}`,
          parents: [`ring${(index + length - 1) % length}`, ...nodes.slice(0, 1).map(({ id }) => id)],
        }));
        const all = [...nodes, { id: "below", parents: ["ring0"] }, ...ring];
        const sorted = inTopologicalOrder(all);
        assert.ok("cycle" in sorted, "no cycle was found");
        const { cycle } = sorted;
        assert.equal(cycle.length, length + 1);
        assert.equal(cycle[0], cycle.at(-1));
        for (const [index, id] of cycle.slice(1).entries()) {
          assert.ok(all.find((node) => node.id === id)?.parents.includes(cycle[index] ?? ""), cycle.join(" -> "));
        }
      }),
      randomCases(200),
    );
  });
});

describe("the longest way", () => {
  test("is as long as the longest of all ways", () => {
    const lengthOf = ({ id }: Dependent): number => (Number(id.slice(1)) * 7) % 5;
    fc.assert(
      fc.property(acyclic, (nodes) => {
        const byId = new Map(nodes.map((node) => [node.id, node]));
        const slow = new Map<string, number>();
        const until = (id: string): number => {
          const node = byId.get(id);
          assert.ok(node);
          const known = slow.get(id) ?? lengthOf(node) + Math.max(0, ...node.parents.map(until));
          slow.set(id, known);
          return known;
        };
        const expected = Math.max(0, ...nodes.map(({ id }) => until(id)));
        assert.equal(longestPath(orderOf(nodes), lengthOf).length, expected);
      }),
      randomCases(300),
    );
  });

  test("counts the nodes on it", () => {
    const nodes = [
      { id: "a", parents: [] },
      { id: "b", parents: ["a"] },
      { id: "c", parents: ["a", "b"] },
    ];
    assert.deepEqual(
      longestPath(nodes, ({ id }) => (id === "b" ? 0 : 2)),
      { length: 4, hops: 3 },
    );
    assert.deepEqual(
      longestPath([], () => 1),
      { length: 0, hops: 0 },
    );
  });
});
