/** A node and those it depends on. */
export interface Dependent {
  readonly id: string;
  readonly parents: readonly string[];
}

/**
 * Orders nodes so that each stands after its parents, and otherwise as they stand (Kahn, "Topological sorting of large
 * networks", 1962).
 *
 * @param nodes with parents that are all among them
 * @returns the order, or the ids along a cycle, the first one repeated at the end
 */
export function inTopologicalOrder<Node extends Dependent>(
  nodes: readonly Node[],
): { readonly order: readonly Node[] } | { readonly cycle: readonly string[] } {
  const unmet = new Map(nodes.map((node) => [node.id, node.parents.length]));
  const children = childrenOf(nodes);
  const order = nodes.filter((node) => node.parents.length === 0);
  // Grows while it is walked: it is the queue as well.
  for (const node of order) {
    for (const child of children.get(node.id) ?? []) {
      const left = (unmet.get(child.id) ?? 0) - 1;
      unmet.set(child.id, left);
      if (left === 0) order.push(child);
    }
  }
  return order.length === nodes.length ? { order } : { cycle: findCycle(nodes, new Set(order)) };
}

function childrenOf<Node extends Dependent>(nodes: readonly Node[]): Map<string, Node[]> {
  const children = new Map<string, Node[]>();
  for (const node of nodes) {
    for (const parent of node.parents) {
      const known = children.get(parent);
      if (known === undefined) children.set(parent, [node]);
      else known.push(node);
    }
  }
  return children;
}

/** What is left of Kahn's order has a parent that is left too: going up from any of it must come round. */
function findCycle<Node extends Dependent>(nodes: readonly Node[], ordered: ReadonlySet<Node>): string[] {
  const left = new Map(nodes.filter((node) => !ordered.has(node)).map((node) => [node.id, node]));
  const trail: string[] = [];
  const seenAt = new Map<string, number>();
  let at = left.keys().next().value;
  while (at !== undefined && !seenAt.has(at)) {
    seenAt.set(at, trail.length);
    trail.push(at);
    at = left.get(at)?.parents.find((parent) => left.has(parent));
  }
  // Walked from child to parent; told from parent to child.
  return at === undefined ? trail : [at, ...trail.slice(seenAt.get(at)).toReversed()];
}

/** The longest way through a graph. */
export interface LongestPath {
  readonly length: number;
  /** How many nodes it has; of several longest ways one. */
  readonly hops: number;
}

/** The longest way through nodes in topological order, each as long as `lengthOf` says (not below 0). */
export function longestPath<Node extends Dependent>(
  order: readonly Node[],
  lengthOf: (node: Node) => number,
): LongestPath {
  const until = new Map<string, LongestPath>();
  let longest: LongestPath = { length: 0, hops: 0 };
  for (const node of order) {
    let before: LongestPath = { length: 0, hops: 0 };
    for (const parent of node.parents) before = longer(before, until.get(parent) ?? before);
    const here = { length: before.length + lengthOf(node), hops: before.hops + 1 };
    until.set(node.id, here);
    longest = longer(longest, here);
  }
  return longest;
}

function longer(a: LongestPath, b: LongestPath): LongestPath {
  return b.length > a.length || (b.length === a.length && b.hops > a.hops) ? b : a;
}
