/**
 * The candidate that `word` most likely meant to be, or undefined when none is near.
 *
 * Nearness is the optimal string alignment distance (Damerau 1964): an insertion, deletion, replacement or swap of
 * neighbours counts one. At most a third of the word may differ, so that a short word does not match everything.
 */
export function didYouMean(word: string, candidates: Iterable<string>): string | undefined {
  const asked = word.toLowerCase();
  let nearest: string | undefined;
  let nearestDistance = Math.max(1, Math.floor(asked.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(asked, candidate.toLowerCase());
    if (distance < nearestDistance) {
      nearest = candidate;
      nearestDistance = distance;
    }
  }
  return nearest;
}

function editDistance(from: string, to: string): number {
  // Three rows of the table are enough: a swap looks back two.
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const replaced = at(last, column - 1) + (from[row - 1] === to[column - 1] ? 0 : 1);
      let distance = Math.min(at(last, column) + 1, at(current, column - 1) + 1, replaced);
      const swapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (swapped) distance = Math.min(distance, at(beforeLast, column - 2) + 1);
      current.push(distance);
    }
    beforeLast = last;
    last = current;
  }
  return at(last, to.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY;
}
