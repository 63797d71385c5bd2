import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { CacheKeys } from "../../src/cache/keys.ts";
import { randomCases } from "../support/random.ts";

const keys = new CacheKeys("tasker");

describe("cache keys", () => {
  test("read as they are documented", () => {
    assert.equal(keys.performance(24), "tasker:analytics:performance:24");
    assert.equal(keys.bottlenecks(10, 5), "tasker:analytics:bottlenecks:10:5");
    assert.equal(keys.template("billing", "send_invoice", "1.2.0"), "tasker:template:billing:send_invoice:1.2.0");
    assert.equal(keys.analytics("backlog", []), "tasker:analytics:backlog");
    assert.equal(new CacheKeys("acme:tasker").performance(1), "acme:tasker:analytics:performance:1");
  });

  test("append further parameters in one order, and only those that are given and differ from their defaults", () => {
    const defaults = { hours: 24, sort: "average_duration" };
    assert.equal(
      keys.bottlenecks(10, 5, { sort: "average_duration", hours: 24, namespace: undefined }, defaults),
      keys.bottlenecks(10, 5),
    );
    const key = "tasker:analytics:bottlenecks:10:5:hours=48:namespace=billing:sort=p95_duration";
    assert.equal(keys.bottlenecks(10, 5, { sort: "p95_duration", namespace: "billing", hours: 48 }, defaults), key);
    assert.equal(keys.bottlenecks(10, 5, { hours: 48, namespace: "billing", sort: "p95_duration" }, defaults), key);
    assert.equal(keys.performance(24, { live: false }, { live: true }), "tasker:analytics:performance:24:live=false");
  });

  test("escape what would be a separator, a pattern, white space or no text at all", () => {
    assert.equal(keys.template("a:b", "c*?[d]", "1 0"), "tasker:template:a%3Ab:c%2A%3F%5Bd%5D:1%200");
    assert.equal(keys.template("ü", "🦊", "\ud800"), "tasker:template:%C3%BC:%F0%9F%A6%8A:%ud800");
    assert.equal(keys.performance(24, { "a=b": "c:d=e" }), "tasker:analytics:performance:24:a%3Db=c%3Ad%3De");
    assert.equal(new CacheKeys("a*").performance(24), "a%2A:analytics:performance:24");
  });

  test("take a list as a set, and tell no names from one empty name", () => {
    const of = (...namespaces: string[]): string => keys.performance(24, { namespaces });
    assert.equal(of("b", "a", "b"), of("a", "b"));
    assert.equal(of("b", "a"), "tasker:analytics:performance:24:namespaces=a,b,");
    const different = [of(), of(""), of("a", "b"), of("a,b"), of("a"), keys.performance(24)];
    assert.equal(new Set(different).size, different.length);
  });
});

/** Names with everything that could matter, and often alike. */
const name = fc.oneof(
  fc.string({ unit: fc.constantFrom("a", "b", ":", "=", ",", "%", "*", "?", "3", "A", "\\", " "), maxLength: 4 }),
  fc.string({ unit: "binary", maxLength: 4 }),
  fc.string({ unit: fc.constantFrom("\ud800", "\udc00", "\ufffd", "u", "d", "8", "0", "%"), maxLength: 6 }),
);

/** No pattern character, no white space, nothing but ASCII. */
const plain = /^[\w.~:=,%-]*$/u;

const hexBytes = (text: string): Buffer => Buffer.from(text.replaceAll("%", ""), "hex");
const unescaped = (text: string): string =>
  text.replaceAll(/%u([0-9a-f]{4})|((?:%[0-9A-F]{2})+)/gu, (_all, half?: string, bytes: string = "") =>
    half === undefined ? hexBytes(bytes).toString() : String.fromCharCode(Number.parseInt(half, 16)),
  );

/** What can be read back from a key cannot have shared it with anything else. */
describe("everything can be read back from its key", () => {
  test("a template", () => {
    fc.assert(
      fc.property(fc.tuple(name, name, name), (parts) => {
        const key = keys.template(...parts);
        assert.match(key, plain);
        assert.deepEqual(key.split(":").map(unescaped), ["tasker", "template", ...parts]);
      }),
      randomCases(10_000),
    );
  });

  test("parameters of analytics", () => {
    const parameters = fc.record({
      resource: name,
      positional: fc.array(fc.integer({ min: 0, max: 1_000_000 }), { maxLength: 2 }),
      scalars: fc.dictionary(
        name.filter((text) => text !== "namespaces"),
        name,
        { maxKeys: 3 },
      ),
      namespaces: fc.option(fc.uniqueArray(name, { maxLength: 3 }), { nil: undefined }),
    });
    fc.assert(
      fc.property(parameters, ({ resource, positional, scalars, namespaces }) => {
        const key = keys.analytics(resource, positional, { ...scalars, namespaces });
        assert.match(key, plain);
        const [prefix, kind, ofResource = "", ...rest] = key.split(":");
        assert.deepEqual([prefix, kind, unescaped(ofResource)], ["tasker", "analytics", resource]);
        const numbers = rest.filter((part) => !part.includes("="));
        assert.deepEqual(numbers.map(Number), positional);
        const appended = rest.slice(numbers.length).map((part) => part.split("="));
        const found = appended.map(([parameter = "", text = ""]) => {
          const isList = parameter === "namespaces";
          return [unescaped(parameter), isList ? text.split(",").slice(0, -1).map(unescaped) : unescaped(text)];
        });
        const given: [string, unknown][] = Object.entries(scalars);
        if (namespaces !== undefined) given.push(["namespaces", namespaces.toSorted()]);
        assert.deepEqual(found, given.toSorted(byName));
      }),
      randomCases(10_000),
    );
  });
});

function byName([one]: readonly [string, unknown], [other]: readonly [string, unknown]): number {
  return one < other ? -1 : 1;
}
